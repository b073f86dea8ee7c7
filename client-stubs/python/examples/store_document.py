#!/usr/bin/env python3
"""Stores a file as a document that another user can read, and prints its id.

    python examples/store_document.py OWNER READER FILE
"""

import sys

from life_agent import Agent, errors


def main(owner: str, reader: str, path: str) -> int:
    with Agent(user=owner) as agent:
        try:
            stored = agent.upload_document_file(path, readers=[reader])
        except errors.LifeError as error:
            print(error, file=sys.stderr)
            return 1
    print(stored.document_id)
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
