"""Damage of archives and arrays: zip, tar, safetensors, npy."""

from __future__ import annotations

import io
import lzma
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib

import numpy as np
from siege.damage_text import json_value, token
from siege.values import ESCAPE, NAMES

from data_prep.storage.parsing import parse_array

_SHAPES = (
    "(1000000000000, 3)", "(-1, 3)", "(True, 3)", "(3,)", "()", "(0, 3)", "(10**9,)", "((3,), 3)", "None", "(1.5, 3)",
    "(9223372036854775807, 9223372036854775807)", "(0, 9223372036854775807)", "(2, 3, 4)", "(1,) * 40", "(" + "1, " * 70 + ")",
    "{}", "[3, 3]", "(0x3, 3)", "(3, 3), 'x': (1,)",
)  # fmt: skip
_TYPES = (
    "'<f4'", "'|O'", "'<U99999999'", "'>f8'", "'<c16'", "'<M8[s]'", "[('a', '<f4')]", "''", "'|V0'", "'|S0'", "'<f2'", "'|b1'",
    "'<i8'", "'|u1'", "'<U4'", "'|S9999999999'", "[('x', '<f4', (1000000, 1000000))]", "[]", "'<f16'", "'<m8'", "('<f4', (3,))", "'|V2147483647'",
)  # fmt: skip
_BAD_ZIP = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, ValueError, NotImplementedError, RuntimeError, EOFError, struct.error,
)  # fmt: skip


def array(content: bytes, rng: np.random.Generator) -> bytes:
    """An npy whose header promises another shape or type than the values that follow; or values of another kind."""
    start = 10 + struct.unpack("<H", content[8:10])[0] if len(content) > 10 else len(content)
    kind = rng.integers(4)
    if kind == 0:
        return _other_values(content, rng)
    shape, dtype = (
        _SHAPES[rng.integers(len(_SHAPES))],
        _TYPES[rng.integers(len(_TYPES)) if rng.random() < 0.6 else 0],
    )
    header = f"{{'descr': {dtype}, 'fortran_order': {('True', 'False', '1', '[]')[rng.integers(4)]}, 'shape': {shape}, }}"
    if kind == 1:
        header = token(content[10:start], rng).decode("utf-8", "replace").strip()
    version = (1, 1, 1, 2, 3, 9)[rng.integers(6)]
    form, room = ("<H", 10) if version == 1 else ("<I", 12)
    raw = header.encode("utf-8", "replace")
    padded = raw.ljust(-(-(len(raw) + room + 1) // 64) * 64 - room - 1)[:60_000] + b"\n"
    return b"\x93NUMPY" + bytes((version, 0)) + struct.pack(form, len(padded)) + padded + content[start:]


def _other_values(content: bytes, rng: np.random.Generator) -> bytes:
    """A sound npy of the same meaning to nobody: other rank, type, order, or values that are not finite."""
    try:
        values = parse_array(content)
        kind = rng.integers(9)
        if kind == 0 and values.dtype.kind == "f" and values.size:
            values.flat[rng.integers(values.size)] = (np.nan, np.inf, -np.inf, np.finfo(values.dtype).max)[
                rng.integers(4)
            ]
        elif kind == 1 and values.dtype.kind in "iu" and values.size:
            info = np.iinfo(values.dtype)
            values.flat[rng.integers(values.size)] = (info.min, info.max, 0)[rng.integers(3)]
        elif kind == 2:
            values = values.astype(("f2", "f8", "i4", "u1", "c8", "?", "U5", "S3", "M8[s]")[rng.integers(9)])
        elif kind == 3:
            values = values[..., None] if rng.random() < 0.5 else values.reshape(-1)
        elif kind == 4:
            values = values[: values.shape[0] // 2] if values.ndim else values[None]
        elif kind == 5:
            values = values[:0] if values.ndim else values
        elif kind == 6:
            values = np.asfortranarray(values)
        elif kind == 7:
            values = values.astype(values.dtype.newbyteorder(">"))
        else:
            values = np.concatenate([values, values]) if values.ndim else values
    except (ValueError, TypeError, OverflowError, EOFError, IndexError):
        return content[:64]
    out = io.BytesIO()
    np.save(out, values, allow_pickle=False)
    return out.getvalue()


def zip_member(content: bytes, rng: np.random.Generator) -> bytes:
    """A zip with a member damaged, missing, twice, renamed, a link, a bomb, or in another compression."""
    from siege.damage import damaged

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = [(info.filename, archive.read(info), info.compress_type) for info in archive.infolist()]
    except _BAD_ZIP:
        return content[: len(content) // 2]
    if not members:
        return b""
    k = int(rng.integers(len(members)))
    name, data, packing = members[k]
    kind = rng.integers(12)
    mode = 0
    if kind < 5:
        members[k] = (name, damaged(data, rng), packing)
    elif kind == 5:
        del members[k]
    elif kind == 6:
        members[k] = (
            ("../outside.npy", "/outside.npy", *NAMES)[rng.integers(len(NAMES) + 2)] or "x",
            data,
            packing,
        )
    elif kind == 7:
        members[k] = (name, data, (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, zipfile.ZIP_STORED)[rng.integers(3)])
    elif kind == 8:
        members[k] = (name, data[:128] + b"\0" * 50_000_000, zipfile.ZIP_DEFLATED)
    elif kind == 9:  # the same name again, with other bytes
        members.append((name, damaged(data, rng), packing))
    elif kind == 10:
        members[k], mode = (name, b"../outside/" + name.encode(), packing), (stat.S_IFLNK | 0o777) << 16
    else:
        members.append((("extra.npy", "x/" * 200, f"{ESCAPE}.npy")[rng.integers(3)], data, packing))
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", compresslevel=1) as archive:
        warnings.simplefilter("ignore")
        for number, (name, data, packing) in enumerate(members):
            info = zipfile.ZipInfo(name.replace("\0", "?")[:60_000])
            info.compress_type, info.external_attr = packing, mode if number == k else 0
            archive.writestr(info, data)
    raw = out.getvalue()
    if rng.random() < 0.1:  # the directory states other sizes, methods or flags than the members have
        place = raw.rfind(b"PK\x01\x02") + int(rng.integers(6, 46))
        raw = raw[:place] + rng.bytes(2) + raw[place + 2 :]
    return raw


def safetensors(content: bytes, rng: np.random.Generator) -> bytes:
    """A header whose JSON is damaged, with the right length; or whose tensors are of other types and places."""
    import json

    size = struct.unpack("<Q", content[:8])[0]
    header, body = (content[8 : 8 + size], content[8 + size :]) if size < len(content) else (b"{}", b"")
    kind = rng.integers(6)
    try:
        record = json.loads(header)
        names = [name for name, value in record.items() if name != "__metadata__" and isinstance(value, dict)]
        name = names[rng.integers(len(names))]
        entry = record[name]
        begin, end = entry["data_offsets"]
        if kind == 0:  # another type of the same size
            same = {
                "F32": ("I32", "U32"),
                "F16": ("BF16", "I16", "U16"),
                "I64": ("F64", "U64"),
                "F64": ("I64",),
                "U8": ("I8", "BOOL", "F8_E4M3", "F8_E5M2"),
            }
            options = same.get(entry["dtype"], ("F32",))
            entry["dtype"] = options[rng.integers(len(options))]
        elif kind == 1:
            shape = entry["shape"]
            entry["shape"] = ([1, *shape], shape[::-1], [int(np.prod(shape))], [], [0])[rng.integers(5)]
        elif kind == 2:
            record[("x", "", ESCAPE, "__metadata__x", name + ".x")[rng.integers(5)]] = record.pop(name)
        elif kind == 3:
            values = np.frombuffer(body[begin:end], np.uint8).copy()
            if len(values) >= 4:
                pattern = ((0, 0, 192, 127), (0, 0, 128, 127), (255, 255, 127, 127), (255,) * 4, (0,) * 4)[
                    rng.integers(5)
                ]
                step = 4 * int(rng.integers(1, 50))
                for i, byte in enumerate(pattern):
                    values[: len(values) // 4 * 4][i::step] = byte
            body = body[:begin] + values.tobytes() + body[end:]
        else:
            raise ValueError("other damage")
        changed = json.dumps(record).encode()
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
        changed = json_value(header, rng) if kind < 5 else token(header, rng)
    return struct.pack("<Q", len(changed)) + changed + body


def tar(content: bytes, rng: np.random.Generator) -> bytes:
    """A tar with one member damaged, missing, twice, a link or device, sparse, or named outside of its folder."""
    from siege.damage import damaged

    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as file:
            members = [(info, file.extractfile(info).read()) for info in file if info.isfile()]  # type: ignore[union-attr]
    except (tarfile.TarError, OSError, ValueError, OverflowError, MemoryError):
        return content[: len(content) // 2]
    if not members:
        return content
    k = int(rng.integers(len(members)))
    info, data = members[k]
    kind = rng.integers(9)
    if kind < 4:
        members[k] = (info, damaged(data, rng))
    elif kind == 4:
        del members[k]
    elif kind == 5:
        members.insert(int(rng.integers(len(members))), members[k])
    elif kind == 6:
        names = ("/outside.npy", "../outside.npy", "x.py", *NAMES)
        info.name = names[rng.integers(len(names))].replace("\0", "") or "x"
    elif kind == 7:
        types = (
            tarfile.SYMTYPE,
            tarfile.LNKTYPE,
            tarfile.FIFOTYPE,
            tarfile.CHRTYPE,
            tarfile.DIRTYPE,
            tarfile.GNUTYPE_SPARSE,
        )
        info.type, info.linkname = (
            types[rng.integers(len(types))],
            ("/etc/passwd", "../outside/x", info.name)[rng.integers(3)],
        )
    else:
        info.pax_headers = {
            ("size", "path", "comment", "GNU.sparse.realsize")[rng.integers(4)]: ("-1", "9" * 30, ESCAPE)[
                rng.integers(3)
            ]
        }
    out = io.BytesIO()
    with tarfile.open(
        fileobj=out, mode="w", format=(tarfile.USTAR_FORMAT, tarfile.PAX_FORMAT)[rng.integers(2)]
    ) as file:
        for info, data in members:
            info.size = len(data) if info.isfile() else 0
            try:
                file.addfile(info, io.BytesIO(data))
            except (ValueError, UnicodeError):  # a name that this format cannot hold
                continue
    return out.getvalue()
