#!/usr/bin/env python3
"""A thin app: a practice writes a finding, a patient reads it. No key is in sight.

    life dev up --dir /tmp/life --detach && . /tmp/life/env
    python examples/thin_app.py "$LIFE_DEV_INSTITUTION" "$LIFE_DEV_PATIENT"
"""

import sys

from life_agent import Agent, errors


def main(practice: str, patient: str) -> int:
    with Agent() as agent:
        try:
            finding = "HbA1c 6.1 %, control in three months".encode()
            message = agent.send(patient, finding, user=practice)
            opened, content = agent.receive(message, user=patient)
            with content:
                print(f"{opened.signature.signer} wrote: {content.read().decode()}")
            agent.delete_message(message, user=patient)
        except errors.CredentialLocked as error:
            print(f"unlock first, with life unlock: {error}", file=sys.stderr)
            return 77
        except errors.LifeError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
