"""Damaged copies of files, each repeatable from one seed."""

from __future__ import annotations

import io
import json
import lzma
import re
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

_EXTREMES = (0, -1, 1, 2**15, 2**31 - 1, 2**32 - 1, 2**62, 2**63 - 1)
_FLOATS = (float("nan"), float("inf"), -float("inf"), 1e19, -1e30, 3e38, 1e-40)
_ESCAPE = "\x1b]0;PWN\x07"
_TOKENS = (
    "NaN", "Infinity", "-1", "0", "1e999", "-1e30", "9" * 5000, "true", "null", '"x"', '""', "[]", "{}", "1.5",
    "../../../outside", "/etc/passwd", _ESCAPE, "\\ud800", "<script>", "&a [*a]", "!!timestamp x", "'",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 1.5, 10**18, 1e308, "", "x", "../../../outside", _ESCAPE, "\ud800", [], {}, [[]], {"": None},
    [1, "a", None], float("nan"), float("inf"),
)  # fmt: skip
_NESTED = ("[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000)


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """``content`` with one to three kinds of damage: of its bytes, of its text, or of its structure."""
    for _ in range(rng.integers(1, 4) if rng.random() < 0.4 else 1):
        kinds: list[Callable[[bytes, np.random.Generator], bytes]] = [*_OF_BYTES]
        head = content[:2]
        if head == b"PK":
            kinds += [_lying_member] * 8
        elif content[:6] == b"\x93NUMPY":
            kinds += [_lying_array] * 8
        elif head == b"\x89P":
            kinds += [_lying_png] * 4
        elif content[257:262] == b"ustar":
            kinds += [_hostile_tar] * 8
        elif len(content) > 8 and content[8:9] == b"{":
            kinds += [_lying_safetensors] * 8
        elif _is_text(content):
            kinds += [_other_token] * 6 + [_other_lines] * 3
            if content.lstrip()[:1] in (b"{", b"["):
                kinds += [_other_json] * 10
        content = kinds[rng.integers(len(kinds))](content, rng)
    return content


def _is_text(content: bytes) -> bool:
    return bool(content) and all(9 <= byte < 127 for byte in content[:400])


def _place(content: bytes, rng: np.random.Generator) -> int:
    """Headers lie at the beginning, and that is where damage is worst: half of all places are there."""
    return int(rng.integers(max(1, min(len(content), 256) if rng.random() < 0.5 else len(content))))


def _flip(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        if changed:
            changed[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _truncate(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: _place(content, rng)]


def _fill(content: bytes, rng: np.random.Generator) -> bytes:
    start = _place(content, rng)
    stop = min(len(content), start + int(rng.integers(1, 2000)))
    return content[:start] + (b"\xff", b"\0")[rng.integers(2)] * (stop - start) + content[stop:]


def _move(content: bytes, rng: np.random.Generator) -> bytes:
    """A stretch is dropped, doubled, or turned into noise."""
    start = _place(content, rng)
    part = content[start : start + int(rng.integers(1, 200))]
    middle = (b"", part * 2, rng.bytes(len(part)))[rng.integers(3)]
    return content[:start] + middle + content[start + len(part) :]


def _extreme_number(content: bytes, rng: np.random.Generator) -> bytes:
    start, order = _place(content, rng), "<>"[rng.integers(2)]
    code = "iqfd"[rng.integers(4)]
    value = _FLOATS[rng.integers(len(_FLOATS))] if code in "fd" else _EXTREMES[rng.integers(len(_EXTREMES))]
    bits = {"i": 32, "q": 64}.get(code)
    with np.errstate(over="ignore"):
        number = np.float32(value) if code == "f" else value
    raw = (
        struct.pack(order + code, number)
        if bits is None
        else (int(value) % 2**bits).to_bytes(bits // 8, "little")
    )
    return content[:start] + raw + content[start + len(raw) :]


def _other_content(content: bytes, rng: np.random.Generator) -> bytes:
    return (b"", b"\0" * 64, b"[]", b"null", b"\xff" * 300, rng.bytes(300), b"\x80\x04K\x01.")[
        rng.integers(7)
    ]


_OF_BYTES = [_flip, _flip, _truncate, _fill, _move, _extreme_number, _extreme_number, _other_content]


def _other_token(content: bytes, rng: np.random.Generator) -> bytes:
    tokens = list(re.finditer(rb"[A-Za-z0-9_.+-]+", content[:200_000]))
    if not tokens:
        return content
    found = tokens[rng.integers(len(tokens))]
    token = _TOKENS[rng.integers(len(_TOKENS))].encode()
    return content[: found.start()] + token + content[found.end() :]


def _other_lines(content: bytes, rng: np.random.Generator) -> bytes:
    lines = content.split(b"\n")
    k = int(rng.integers(len(lines)))
    lines[k : k + 1] = ([], [lines[k]] * 2, [lines[k] * 50], [_NESTED[rng.integers(3)].encode()])[
        rng.integers(4)
    ]
    return b"\n".join(lines)


def _other_json(content: bytes, rng: np.random.Generator) -> bytes:
    """One value, key or element of the document is another."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return content
    places: list[tuple[Any, Any]] = []
    stack = [document]
    while stack and len(places) < 20_000:
        node = stack.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        places += [(node, key) for key in keys]
        stack += [node[key] for key in keys]
    if not places:
        return content
    node, key = places[rng.integers(len(places))]
    kind = rng.integers(5)
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[str(_VALUES[rng.integers(len(_VALUES))])] = node.pop(key)
    elif kind == 2:
        marker = "\u2603nested\u2603"
        node[key] = marker
        return json.dumps(document).replace(json.dumps(marker), _NESTED[rng.integers(3)]).encode()
    else:
        node[key] = _VALUES[rng.integers(len(_VALUES))]
    return json.dumps(document).encode()


def _lying_array(content: bytes, rng: np.random.Generator) -> bytes:
    """An array header that promises another shape or type than the values that follow."""
    shapes = (
        "(1000000000000, 3)",
        "(-1, 3)",
        "(True, 3)",
        "(3,)",
        "()",
        "(0, 3)",
        "(10**9,)",
        "((3,), 3)",
        "None",
        "(1.5, 3)",
    )
    types = (
        "'<f4'",
        "'|O'",
        "'<U99999999'",
        "'>f8'",
        "'<c16'",
        "'<M8[s]'",
        "[('a', '<f4')]",
        "''",
        "'|V0'",
        "'|S0'",
    )
    shape, dtype = (
        shapes[rng.integers(len(shapes))],
        types[rng.integers(len(types)) if rng.random() < 0.6 else 0],
    )
    header = f"{{'descr': {dtype}, 'fortran_order': {bool(rng.integers(2))}, 'shape': {shape}, }}"
    start = 10 + struct.unpack("<H", content[8:10])[0] if len(content) > 10 else len(content)
    padded = header.ljust(-(-(len(header) + 11) // 64) * 64 - 11) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(padded)) + padded.encode("latin1") + content[start:]


def _lying_member(content: bytes, rng: np.random.Generator) -> bytes:
    """A zip with one member damaged, missing, twice, renamed, or in another compression."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(info.filename, archive.read(info)) for info in archive.infolist()]
    except (
        zipfile.BadZipFile,
        zlib.error,
        lzma.LZMAError,
        OSError,
        ValueError,
        NotImplementedError,
        RuntimeError,
        EOFError,
    ):
        return content
    if not members:
        return content
    k = int(rng.integers(len(members)))
    name, data = members[k]
    kind = rng.integers(7)
    packing = zipfile.ZIP_DEFLATED
    if kind < 3:
        members[k] = (name, damaged(data, rng))
    elif kind == 3:
        del members[k]
    elif kind == 4:
        members[k] = (("../outside.npy", "/outside.npy", _ESCAPE, "x" * 5000)[rng.integers(4)], data)
    elif kind == 5:
        packing = (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)[rng.integers(2)]
    else:
        members[k] = (name, data[:128] + b"\0" * 30_000_000)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", packing) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def _lying_png(content: bytes, rng: np.random.Generator) -> bytes:
    """Another size, depth or color type, with the right checksum."""
    sizes = (1, 7, 60_000, 2**31 - 1)
    header = struct.pack(
        ">II5B", sizes[rng.integers(4)], sizes[rng.integers(4)],
        (1, 8, 16)[rng.integers(3)], (0, 2, 3, 6)[rng.integers(4)], 0, 0, rng.integers(2),
    )  # fmt: skip
    chunk = b"IHDR" + header
    return content[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]


def _lying_safetensors(content: bytes, rng: np.random.Generator) -> bytes:
    """A header whose JSON is damaged in its structure and has the right length."""
    size = struct.unpack("<Q", content[:8])[0]
    header = content[8 : 8 + size] if size < len(content) else b"{}"
    changed = _other_json(header, rng) if rng.random() < 0.8 else _other_token(header, rng)
    return struct.pack("<Q", len(changed)) + changed + content[8 + size :]


def _hostile_tar(content: bytes, rng: np.random.Generator) -> bytes:
    """A tar with one member damaged, missing, twice, a link, or named outside of its folder."""
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            members = [(info, tar.extractfile(info).read()) for info in tar if info.isfile()]  # type: ignore[union-attr]
    except (tarfile.TarError, OSError, ValueError):
        return content
    if not members:
        return content
    k = int(rng.integers(len(members)))
    info, data = members[k]
    kind = rng.integers(6)
    if kind < 2:
        members[k] = (info, damaged(data, rng))
    elif kind == 2:
        del members[k]
    elif kind == 3:
        members.insert(k, members[k])
    elif kind == 4:
        info.name = ("/outside.npy", "../outside.npy", _ESCAPE, "x.py")[rng.integers(4)]
    else:
        info.type, info.linkname = (
            (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE)[rng.integers(3)],
            "/etc/passwd",
        )
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for info, data in members:
            info.size = len(data) if info.isfile() else 0
            try:
                tar.addfile(info, io.BytesIO(data))
            except ValueError:  # a name that this format cannot hold
                continue
    return out.getvalue()
