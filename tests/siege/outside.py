"""A folder beside the one that is read, and a watch on it: nobody opens what lies there."""

from __future__ import annotations

import ctypes
import os
import struct
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)
_OPEN, _MODIFY, _MOVED, _CREATE, _DELETE = 0x20, 0x2, 0xC0, 0x100, 0x200
_IS_FOLDER = 0x40000000
_NONBLOCK = 0o4000


class Watch:
    """Tells which files below a folder were opened, written, made or removed, by Python or by native code (inotify)."""

    def __init__(self, folder: Path) -> None:
        self._file = _LIBC.inotify_init1(_NONBLOCK)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1")
        for each in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
            mask = _OPEN | _MODIFY | _MOVED | _CREATE | _DELETE
            if _LIBC.inotify_add_watch(self._file, os.fsencode(each), mask) < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch")

    def touched(self) -> set[str]:
        """Names of the files since the last call."""
        found = set()
        while True:
            try:
                content = os.read(self._file, 1 << 16)
            except BlockingIOError:
                return found
            place = 0
            while place < len(content):
                _, mask, _, size = struct.unpack_from("iIII", content, place)
                name = content[place + 16 : place + 16 + size].rstrip(b"\0")
                if name and not mask & _IS_FOLDER:
                    found.add(os.fsdecode(name))
                place += 16 + size
