"""Damage of binary formats of others: images, databases, recordings, surveys, graphs."""

from __future__ import annotations

import io
import sqlite3
import struct
import tempfile
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from siege.damage_text import token
from siege.values import EXTREMES, VALUES

_SIZES = (0, 1, 7, 60_000, 65_535, 2**31 - 1)


def png(content: bytes, rng: np.random.Generator) -> bytes:
    """Another size, depth or color type, or a chunk too much, with right checksums; or pixels damaged inside their compression."""
    kind = rng.integers(5)
    if kind < 2:
        header = struct.pack(
            ">II5B", _SIZES[rng.integers(6)], _SIZES[rng.integers(6)],
            (1, 2, 8, 16)[rng.integers(4)], (0, 2, 3, 4, 6)[rng.integers(5)], 0, 0, rng.integers(2),
        )  # fmt: skip
        return content[:8] + _chunk(b"IHDR", header) + content[33:]
    if kind == 2:
        bomb = _bomb()
        extra = ((b"zTXt", b"a\0\0" + bomb), (b"iCCP", b"a\0\0" + bomb), (b"acTL", b"\xff" * 8), (b"tRNS", b"\0" * 3000), (b"PLTE", b"\0" * 5),
                 (b"eXIf", b"MM\0*" + b"\xff" * 60), (b"iTXt", b"a\0\1\0\0\0" + bomb))[rng.integers(7)]  # fmt: skip
        return content[:33] + _chunk(*extra) + content[33:]
    start = content.find(b"IDAT")
    if start < 0:
        return content[:50]
    size = struct.unpack(">I", content[start - 4 : start])[0]
    if kind == 3:  # rows whose filter does not exist, or too many of them
        try:
            rows = zlib.decompress(content[start + 4 : start + 4 + size])
        except zlib.error:
            return content[:start]
        rows = (rows[: len(rows) // 2], b"\x09" + rows[1:], rows + b"\0" * 10_000_000)[rng.integers(3)]
        return content[: start - 4] + _chunk(b"IDAT", zlib.compress(rows, 1)) + content[start + 8 + size :]
    return content[: start - 4] + content[start + 8 + size :]


@cache
def _bomb() -> bytes:
    return zlib.compress(b"\0" * 200_000_000, 1)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def jpeg(content: bytes, rng: np.random.Generator) -> bytes:
    """Another size, precision or number of components in the frame header, or a segment too much."""
    places = [
        i for i in range(len(content) - 10) if content[i] == 0xFF and content[i + 1] in (0xC0, 0xC1, 0xC2)
    ]
    if not places or rng.random() < 0.3:
        extra = (b"\xff\xe1\xff\xffExif\0\0MM\0*" + b"\xff" * 300, b"\xff\xe2\x00\x20MPF\0" + b"\xff" * 26, b"\xff\xdd\x00\x04\0\1", b"\xff\xfe\0\2",
                 b"\xff\xee\0\x0eAdobe\0d\0\0\0\0\2")[rng.integers(5)]  # fmt: skip
        return content[:2] + extra + content[2:]
    place = places[0]
    kind = rng.integers(3)
    if kind == 0:
        size = struct.pack(">HH", min(_SIZES[rng.integers(6)], 65_535), min(_SIZES[rng.integers(6)], 65_535))
        return content[: place + 5] + size + content[place + 9 :]
    if kind == 1:
        return content[: place + 4] + bytes(((12, 0, 16)[rng.integers(3)],)) + content[place + 5 :]
    return content[: place + 9] + bytes(((0, 1, 4, 255)[rng.integers(4)],)) + content[place + 10 :]


def sqlite(content: bytes, rng: np.random.Generator) -> bytes:
    """A sound database with other values, or without a table or column."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "a.db"
        file.write_bytes(content)
        try:
            with sqlite3.connect(file) as base:
                tables = [
                    name for (name,) in base.execute("SELECT name FROM sqlite_master WHERE type='table'")
                ]
                table = tables[rng.integers(len(tables))]
                columns = [row[1] for row in base.execute(f'PRAGMA table_info("{table}")')]
                column = columns[rng.integers(len(columns))]
                kind = rng.integers(7)
                if kind == 0:
                    base.execute(f'DROP TABLE "{table}"')
                elif kind == 1:
                    base.execute(f'ALTER TABLE "{table}" RENAME COLUMN "{column}" TO "other"')
                elif kind == 2:
                    base.execute(f'DELETE FROM "{table}"')
                elif kind == 3:
                    base.execute(f'INSERT INTO "{table}" SELECT * FROM "{table}"')
                elif kind == 4:
                    base.execute(f'ALTER TABLE "{table}" RENAME TO "x"')
                    base.execute(
                        f'CREATE VIEW "{table}" AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n+1 FROM c) SELECT x.* FROM x, c'
                    )
                else:
                    plain = [
                        v
                        for v in VALUES
                        if not isinstance(v, list | dict) and v not in (2**64, 10**400, "\ud800")
                    ]
                    values = [*plain, rng.bytes(30), b"", b"\xff" * 8]
                    base.execute(
                        f'UPDATE "{table}" SET "{column}" = ? WHERE rowid % 2 = 0 OR ? < 0.5',
                        (values[rng.integers(len(values))], rng.random()),
                    )
            base.close()
        except (sqlite3.Error, ValueError, OverflowError):
            return content[: len(content) // 2]
        return file.read_bytes()


def mcap(content: bytes, rng: np.random.Generator) -> bytes:
    """One record of the file, or of a chunk, with another length, kind or content."""
    place, records = 8, []
    while place + 9 <= len(content) - 8:
        length = struct.unpack("<Q", content[place + 1 : place + 9])[0]
        if place + 9 + length > len(content):
            break
        records.append((content[place], content[place + 9 : place + 9 + length]))
        place += 9 + length
    if not records:
        return content[:20]
    k = int(rng.integers(len(records)))
    records[k : k + 1] = _other_record(*records[k], rng)
    body = b"".join(bytes((op,)) + struct.pack("<Q", len(data)) + data for op, data in records)
    if rng.random() < 0.1 and records:
        lie = struct.pack("<Q", EXTREMES[rng.integers(len(EXTREMES))] % 2**64)
        body = body.replace(struct.pack("<Q", len(records[-1][1])), lie, 1)
    return content[:8] + body + content[place:]


def _other_record(op: int, data: bytes, rng: np.random.Generator) -> list[tuple[int, bytes]]:
    from siege.damage import extreme_number, flip, move, truncate

    kind = rng.integers(8)
    if kind == 0:
        return []
    if kind == 1:
        return [(op, data)] * 2
    if kind == 2:
        return [(int(rng.integers(256)), data)]
    return [(op, (extreme_number, extreme_number, flip, move, truncate)[rng.integers(5)](data, rng))]


def ros1(content: bytes, rng: np.random.Generator) -> bytes:
    """One field of one record's header with another length, name or value; lengths around it are right."""
    place, records = content.find(b"\n") + 1, []
    start = place
    while place + 8 <= len(content):
        head = struct.unpack("<I", content[place : place + 4])[0]
        if place + 8 + head > len(content):
            break
        size = struct.unpack("<I", content[place + 4 + head : place + 8 + head])[0]
        records.append(
            (content[place + 4 : place + 4 + head], content[place + 8 + head : place + 8 + head + size])
        )
        place += 8 + head + size
    if not records:
        return content[:20]
    k = int(rng.integers(len(records)))
    head, data = records[k]
    if rng.random() < 0.5:
        records[k : k + 1] = [(each, data) for _, each in _other_record(0, head, rng)]
    else:
        records[k : k + 1] = [(head, each) for _, each in _other_record(0, data, rng)]
    out = b"".join(struct.pack("<I", len(h)) + h + struct.pack("<I", len(d)) + d for h, d in records)
    return content[:start] + out + content[place:]


def e57(content: bytes, rng: np.random.Generator) -> bytes:
    """The XML of an E57 damaged as text, or bytes anywhere, with right checksums of all pages."""
    if len(content) < 2048:
        return content[:100]
    pages = bytearray(b"".join(content[i : i + 1020] for i in range(0, len(content), 1024)))
    start = pages.find(b"<?xml")
    if rng.random() < 0.7 and start > 0:
        stop = pages.rfind(b">") + 1
        xml = token(bytes(pages[start:stop]), rng)[: len(pages) - start]
        pages[start:] = xml.ljust(len(pages) - start, b" ")
    else:
        from siege.damage import extreme_number

        pages[48:] = extreme_number(bytes(pages[48:]), rng)[: len(pages) - 48].ljust(len(pages) - 48, b"\0")
    return b"".join(
        bytes(page) + struct.pack(">I", _crc32c(bytes(page)))
        for page in (pages[i : i + 1020] for i in range(0, len(pages), 1020))
    )


def _crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def _row(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
    return value


_TABLE = [_row(value) for value in range(256)]


def mat(content: bytes, rng: np.random.Generator) -> bytes:
    """A MATLAB file with other arrays, or damaged inside its compression."""
    from scipy.io import loadmat, savemat
    from siege.damage import extreme_number, flip

    kind = rng.integers(3)
    if kind == 0:
        try:
            values = {
                name: value
                for name, value in loadmat(io.BytesIO(content)).items()
                if not name.startswith("__")
            }
        except (ValueError, TypeError, OSError, zlib.error, KeyError, NotImplementedError, IndexError):
            return content[:128]
        for name, value in values.items():
            if value.dtype.kind not in "biufc":  # numpy casts no records, and text only to text
                continue
            options = (value.astype(str), value[:, :2], value * np.nan, value * 1e30, np.zeros((0, 6)), {"a": value}, value.astype(complex),
                       value[..., None], np.array([[value]], object))  # fmt: skip
            values[name] = options[rng.integers(len(options))]
        out = io.BytesIO()
        savemat(out, values, do_compression=bool(rng.integers(2)))
        return out.getvalue()
    try:
        inner = zlib.decompress(content[136:])
    except zlib.error:
        return content[:200]
    inner = (extreme_number, flip)[kind - 1](inner, rng)
    if rng.random() < 0.1:
        inner += b"\0" * 20_000_000
    packed = zlib.compress(inner, 1)
    return content[:128] + struct.pack("<II", 15, len(packed)) + packed


def las(content: bytes, rng: np.random.Generator) -> bytes:
    """One field of the header with another value."""
    fields = {
        24: "B",
        25: "B",
        94: "<H",
        96: "<I",
        100: "<I",
        104: "B",
        105: "<H",
        107: "<I",
        131: "<d",
        139: "<d",
        155: "<d",
        179: "<d",
        227: "<Q",
        247: "<Q",
    }
    place = list(fields)[rng.integers(len(fields))]
    form = fields[place]
    if form == "<d":
        raw = struct.pack(form, (float("nan"), float("inf"), 1e300, 0.0, -1.0)[rng.integers(5)])
    else:
        size = struct.calcsize(form)
        raw = (EXTREMES[rng.integers(len(EXTREMES))] % 256**size).to_bytes(size, "little")
    return content[:place] + raw + content[place + len(raw) :]


def onnx(content: bytes, rng: np.random.Generator) -> bytes:
    """One field anywhere in the graph with another value, or an element gone, or weights outside of the folder."""
    from google.protobuf.message import DecodeError, Message
    from onnx import ModelProto, TensorProto

    model = ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError:
        return content[: len(content) // 2]
    if model.graph.initializer and rng.random() < 0.15:
        tensor = model.graph.initializer[rng.integers(len(model.graph.initializer))]
        tensor.ClearField("raw_data")
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (
            ("location", ("../outside/encoder.onnx", "/etc/passwd", "/dev/zero")[rng.integers(3)]),
            ("offset", "0"),
            ("length", "64"),
        ):
            tensor.external_data.add(key=key, value=value)
        return model.SerializeToString()
    node: Message = model.graph if rng.random() < 0.9 else model
    while True:
        fields = [(field, value) for field, value in node.ListFields()]
        if not fields:
            return model.SerializeToString()
        field, value = fields[rng.integers(len(fields))]
        repeated = hasattr(value, "append") or hasattr(value, "add")
        if field.message_type is not None:
            if repeated and rng.random() < 0.15:
                del value[rng.integers(len(value))]
                return model.SerializeToString()
            node = value[rng.integers(len(value))] if repeated else value
            continue
        try:
            other = VALUES[rng.integers(len(VALUES))] if field.type != field.TYPE_BYTES else rng.bytes(8)
            if repeated:
                value[rng.integers(len(value))] = other
            else:
                setattr(node, field.name, other)
        except (TypeError, ValueError, UnicodeError, OverflowError):
            continue
        return model.SerializeToString()
