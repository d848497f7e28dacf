# SPDX-License-Identifier: BSD-3-Clause
"""Files that are there whole or not at all, whatever happens while they are written."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import IO

__all__ = ["write_atomically"]


def write_atomically(path: str | os.PathLike[str], write: Callable[[IO[bytes]], object]) -> None:
    """Call `write(file)` on a new file in the folder of `path`, flush it to the disk, then put it in place of `path`.

    A process killed at any moment, a full disk, or an exception from `write` leaves the old file as it was (or no file,
    where there was none). A symbolic link is followed, an existing file's permissions are kept. A device or a pipe,
    which cannot be replaced, is written to directly.

    Errors: OSError naming the file (absent folder, no permission, full disk); what `write` raises.
    """
    target = os.path.realpath(os.fspath(path))
    if os.path.isdir(target):
        raise IsADirectoryError(21, "cannot save, it is a folder", os.fspath(path))
    if os.path.exists(target) and not os.path.isfile(target):
        with open(target, "wb") as device:
            write(device)
        return
    folder, name = os.path.split(target)
    # Two savers of one path never share a temporary file; the name is kept short for file systems with a limit of 255.
    temporary = os.path.join(folder, f".{name[:180]}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if os.path.exists(target):
                os.chmod(temporary, os.stat(target).st_mode & 0o7777)
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise
    _flush_folder(folder)


def _flush_folder(folder: str) -> None:
    """Make the new name itself survive a power cut. Windows has no such call and needs none."""
    if not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
