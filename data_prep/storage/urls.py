"""URLs like ``s3://bucket/folder``, read and written through fsspec (https://filesystem-spec.readthedocs.io)."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from data_prep.errors import InputError, without_secret
from data_prep.storage.extras import require_extra

_log = logging.getLogger(__name__)
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://?(?=[^/])(.*)", re.DOTALL)


def as_url(path: str | Path) -> str | None:
    """The URL that a path stands for, or None for a path of this machine.

    ``Path("s3://bucket/folder")`` has lost a slash to pathlib; it is put back. A ``file://`` URL is a path of this
    machine too; see :func:`as_path`.

    >>> as_url("s3://bucket/folder"), as_url(Path("s3://bucket/folder"))
    ('s3://bucket/folder', 's3://bucket/folder')
    >>> as_url("/data/kitti"), as_url("C:/kitti"), as_url("file:///data/kitti")
    (None, None, None)
    """
    text = str(path)
    if text.startswith("file:") or (found := _URL.match(text)) is None:
        return None
    if isinstance(path, str) and "://" not in text:
        return None
    return f"{found[1]}://{found[2]}"


def as_path(path: str | Path) -> Path:
    """A path of this machine, from a path or a ``file://`` URL.

    >>> as_path("file:///data/kitti").as_posix(), as_path("runs/1").as_posix()
    ('/data/kitti', 'runs/1')
    """
    text = str(path)
    return Path("/" + text[5:].lstrip("/")) if text.startswith("file:/") else Path(path)


def as_here(path: str | Path) -> Path:
    """A path of this machine for any path or URL; :func:`fetch` copies remote files here."""
    url = as_url(path)
    return as_path(path) if url is None else fetch(url)


def open_url(url: str) -> tuple[Any, str]:
    """The fsspec file system of a URL, and the path in it, without a slash at the end.

    Raises:
        InputError: fsspec or the package for this kind of URL is not installed, or there is no such kind.
    """
    fsspec = require_extra("fsspec", "cloud", needed_for=url)
    try:
        system, path = fsspec.core.url_to_fs(url)
    except ImportError as error:
        raise InputError(str(error), source=url, fix="install that package") from None
    except ValueError as error:
        raise InputError(f"cannot be opened ({error})", source=url, fix="check the part before ://") from None
    if "s3" in system.protocol and getattr(system, "session", system) is None:
        _send_unasked(system)
    return system, path.rstrip("/")


def _send_unasked(system: Any) -> None:
    """Uploads to S3 do not ask for leave (100 Continue): after it, aiohttp waits for an answer without end."""
    from aiobotocore.session import AioSession
    from botocore.handlers import add_expect_header

    system.session = AioSession(**system.kwargs)
    system.session.unregister("before-call.s3", add_expect_header)


def url_errors() -> tuple[type[BaseException], ...]:
    """Exceptions of file systems for what is missing, forbidden or unreachable."""
    found: list[type[BaseException]] = [OSError]
    for module, name in (("botocore.exceptions", "BotoCoreError"), ("aiohttp", "ClientError")):
        if module in sys.modules:  # they do not make theirs OSErrors
            found.append(getattr(sys.modules[module], name))
    return tuple(found)


def cache_root() -> Path:
    """The user cache: ``$CLIP2_CACHE`` or ``~/.cache/clip2``. It may not exist yet."""
    return Path(os.environ.get("CLIP2_CACHE", Path.home() / ".cache" / "clip2"))


def cache_folder(url: str, kind: str) -> Path:
    """The local folder for copies and products of a URL, under :func:`cache_root`.

    Args:
        url: the address.
        kind: subfolder, for example ``files`` or ``sets``.
    """
    root = cache_root()
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", without_secret(url.rstrip("/")))[-60:]
    return root / kind / f"{name}-{hashlib.sha256(url.rstrip('/').encode()).hexdigest()[:12]}"


def fetch(url: str) -> Path:
    """Copy a file, or a folder with all its files, to this machine; a local copy of the same size is kept.

    Logs the amount to copy first.

    Returns:
        Path of the copy, under :func:`cache_folder`.

    Raises:
        InputError: the address is empty, cannot be read, or does not fit on the disk.
    """
    system, base = open_url(url)
    target = cache_folder(url, "files")
    try:
        system.invalidate_cache()
        found = system.find(base, detail=True)
        if not found:
            raise InputError("does not exist", source=url, fix="check the address")
        if list(found) == [base] or system.isfile(base):
            target = target / base.rpartition("/")[2]
            files = {base: (found[base]["size"], target)}
        else:
            files = {}
            for name, entry in found.items():
                relative = name[len(base) :].lstrip("/")
                if ".." in relative.split("/"):
                    raise InputError(f"holds {relative!r}", source=url, fix="rename it")
                files[name] = (entry["size"], target / relative)
        missing = {
            name: (size, here)
            for name, (size, here) in files.items()
            if not (here.is_file() and here.stat().st_size == size)
        }
        if missing:
            _announce(url, target, missing, kept=len(files) - len(missing))
        for name, (_, here) in missing.items():
            _fetch_file(system, name, here)
    except url_errors() as error:
        raise InputError(
            f"cannot be read ({error})", source=url, fix="check address and credentials"
        ) from error
    return target


def _announce(url: str, target: Path, missing: dict[str, tuple[int, Path]], kept: int) -> None:
    """Log how much will be copied; refuse what does not fit on the disk."""
    size = sum(size for size, _ in missing.values())
    nearest = next(path for path in (target, *target.parents) if path.is_dir())
    free = shutil.disk_usage(nearest).free
    if size > free:
        raise InputError(
            f"{size / 1e9:,.1f} GB would be copied to {nearest}, which has {free / 1e9:,.1f} GB free",
            source=url,
            fix="let CLIP2_CACHE name a folder with more room, or give the URL of a smaller folder, like one sequence",
        )
    files = f"{len(missing):,} file{'' if len(missing) == 1 else 's'}"
    already = f" ({kept:,} more are there)" if kept else ""
    _log.warning(
        "clip2: %s: copying %s, %s MB, to %s%s",
        without_secret(url),
        files,
        f"{size / 1e6:,.1f}",
        target,
        already,
    )


def _fetch_file(system: Any, name: str, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    system.get_file(name, str(part))
    os.replace(part, target)
