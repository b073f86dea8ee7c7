"""Searching what the operator has for what it must not have."""
import os

from common import check, fact

PIECE = 8 << 20


def needles_of(files):
    """Windows of every plaintext, and words that stand in them."""
    needles = {b"Musterfrau-Synthetica", b"SYNTHETIC SCAN", b"Discharge summary", b"biopsy", b"CT of the chest", b"HbA1c 6.1"}
    for path in files:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            for at in range(256, max(size - 24, 0), max(24, size // 200)):
                file.seek(at)
                needles.add(file.read(24))
    return [needle for needle in needles if len(set(needle)) > 4]


def find(path, needles):
    """Which needle lies in a file, all of which is read, in pieces that overlap by the longest needle; and its size."""
    longest = max(map(len, needles))
    size, kept = 0, b""
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            size += len(piece)
            data = kept + piece
            for needle in needles:
                if needle in data:
                    return needle, size
            kept = data[-(longest - 1):]
    return None, size


def search_storage(platform, files, work):
    """Looks for pieces of every plaintext in everything the platform stores."""
    needles = needles_of(files)
    # The controls: the same search finds each plaintext, and one that lies across two pieces.
    for path in files:
        check(find(path, needles)[0], f"the search does not find {path} in itself")
    across = os.path.join(work, "across")
    with open(across, "wb") as file:
        file.seek(PIECE - 5)
        file.write(b"Musterfrau-Synthetica")
    check(find(across, needles)[0], "the search does not find what lies across two pieces")
    total = searched = 0
    for folder, _, names in os.walk(platform.folder):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isfile(path):
                continue
            found, size = find(path, needles)
            check(found is None, f"plaintext lies in {name}: {found!r}")
            searched, total = searched + 1, total + size
    check(total > sum(map(os.path.getsize, files)), "the messages are not where the search looked")
    fact(f"the platform's storage ({searched} files, {total / 1e6:.0f} MB, every byte searched) holds none of "
         f"{len(needles)} pieces of plaintext")
