#!/usr/bin/env python3
"""Asks the platform, in a user's name, who that is. Neither certificate nor token is in sight.

    python examples/call_platform.py USER
"""

import sys

from life_agent import Agent, errors


def main(user: str) -> int:
    with Agent(user=user) as agent:
        try:
            answer = agent.call("GET", "/v1/me", headers={"Accept": "application/json"})
        except errors.ApiCallForbidden as error:
            print(f"the agent's configuration does not allow that: {error}", file=sys.stderr)
            return 77
        except errors.LifeError as error:
            print(error, file=sys.stderr)
            return 1
    print(answer.status, answer.content.decode())
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
