#!/usr/bin/env python3
"""Reads a document that is there, and tells what it is.

    python examples/read_document.py READER DOCUMENT
"""

import hashlib
import json
import sys

from life_agent import Agent, errors


def main(reader: str, document_id: str) -> int:
    with Agent(user=reader) as agent:
        try:
            downloaded, content = agent.download_document(document_id)
        except errors.LifeError as error:
            print(error, file=sys.stderr)
            return 1
        with content:
            sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    title = downloaded.document.description.title
    print(json.dumps({"title": title, "signer": downloaded.signature.signer, "sha256": sha256}))
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], sys.argv[2]))
