"""Files that appear only when they are complete."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from typing import BinaryIO

from life_agent.errors import MessageTooLarge, OutputExists

CHUNK = 1024 * 1024


def chunks(source: BinaryIO) -> Iterator[bytes]:
    """What a stream holds, in chunks of at most 1 MiB."""
    while chunk := source.read(CHUNK):
        yield chunk


def whole(source: BinaryIO, limit: int) -> bytes:
    """All that a stream holds. Raises MessageTooLarge for more than `limit` bytes."""
    content = source.read(limit + 1)
    if len(content) > limit:
        raise MessageTooLarge(f"there are more than {limit} bytes: too much for one call")
    return content


@contextlib.contextmanager
def staged(path: str | os.PathLike[str], *, overwrite: bool, mode: int) -> Iterator[BinaryIO]:
    """A file that gets its name when the block ends well, and vanishes when it does not.

    It has no name meanwhile (O_TMPFILE) where the file system allows. Raises OutputExists for a name that is taken,
    unless it may be overwritten.
    """
    path = os.path.realpath(path)
    if not overwrite and os.path.lexists(path):
        raise OutputExists(f"{path} exists already: it was left as it is; pass overwrite=True to replace it")
    folder, name = os.path.split(path)
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    hidden = f".{name}.{os.getpid()}-{os.urandom(4).hex()}.part"
    named = False
    try:
        try:
            descriptor = os.open(".", os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, mode, dir_fd=directory)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
                raise
            flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
            descriptor = os.open(hidden, flags, mode, dir_fd=directory)
            named = True
        with open(descriptor, "wb", buffering=0) as file:
            yield file
            os.fsync(descriptor)
            if not named:
                os.link(f"/proc/self/fd/{descriptor}", hidden, dst_dir_fd=directory, follow_symlinks=True)
                named = True
        if overwrite:
            os.rename(hidden, name, src_dir_fd=directory, dst_dir_fd=directory)
            named = False
        else:
            # A link refuses a name that was taken meanwhile; a rename would not.
            try:
                os.link(hidden, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
            except FileExistsError as error:
                raise OutputExists(f"{path} exists already: it was left as it is") from error
        with contextlib.suppress(OSError):
            os.fsync(directory)
    finally:
        if named:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(hidden, dir_fd=directory)
        os.close(directory)


def spool() -> BinaryIO:
    """A file without a name, for content that is not verified yet."""
    return tempfile.TemporaryFile()
