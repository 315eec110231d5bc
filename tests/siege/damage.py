"""Damaged copies of files, each repeatable from one seed: of their bytes, of their text, or of what their format says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from siege import damage_archives, damage_binary, damage_text
from siege.values import EXTREMES, FLOATS, SOUND_OF_OTHERS

Damage = Callable[[bytes, np.random.Generator], bytes]


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """``content`` with one to three kinds of damage: of its bytes, of its text, or of its structure."""
    for _ in range(rng.integers(1, 4) if rng.random() < 0.4 else 1):
        structural = _of_structure(content)
        kinds = _OF_BYTES if not structural or rng.random() < 0.35 else structural
        content = kinds[rng.integers(len(kinds))](content, rng)
    return content


def _of_structure(content: bytes) -> list[Damage]:
    """What can be done to content of this format beyond changes of its bytes."""
    for begins, kinds in _OF_FORMATS.items():
        if content.startswith(begins):
            return kinds
    if content[257:262] == b"ustar":
        return [damage_archives.tar]
    if content[8:10] == b'{"':
        return [damage_archives.safetensors]
    if content[:1] in (b"\x08", b"\x0a") and b"onnx" in content[:4000]:
        return [damage_binary.onnx]
    if content.startswith((b"GET ", b"POST ", b"PUT ", b"DELETE ")):
        return [damage_text.http]
    if not _is_text(content):
        return []
    if content.lstrip()[:1] in (b"{", b"["):
        return [damage_text.json_value] * 4 + [damage_text.token, damage_text.lines, damage_text.way_out]
    return [damage_text.token] * 2 + [damage_text.lines, damage_text.yaml_value, damage_text.way_out]


def _is_text(content: bytes) -> bool:
    return bool(content) and all(9 <= byte < 127 for byte in content[:400])


def _place(content: bytes, rng: np.random.Generator) -> int:
    """Headers lie at the beginning, and that is where damage is worst: half of all places are there."""
    return int(rng.integers(max(1, min(len(content), 256) if rng.random() < 0.5 else len(content))))


def flip(content: bytes, rng: np.random.Generator) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.integers(1, 9)):
        if changed:
            changed[_place(content, rng)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def truncate(content: bytes, rng: np.random.Generator) -> bytes:
    return content[: _place(content, rng)]


def fill(content: bytes, rng: np.random.Generator) -> bytes:
    start = _place(content, rng)
    stop = min(len(content), start + int(rng.integers(1, 2000)))
    return content[:start] + (b"\xff", b"\0")[rng.integers(2)] * (stop - start) + content[stop:]


def move(content: bytes, rng: np.random.Generator) -> bytes:
    """A stretch is dropped, doubled, turned into noise, or put elsewhere."""
    start = _place(content, rng)
    part = content[start : start + int(rng.integers(1, 200))]
    rest = content[:start] + content[start + len(part) :]
    middle = (b"", part * 2, rng.bytes(len(part)))
    kind = rng.integers(4)
    if kind == 3:
        start = _place(rest, rng)
        return rest[:start] + part + rest[start:]
    return content[:start] + middle[kind] + content[start + len(part) :]


def extreme_number(content: bytes, rng: np.random.Generator) -> bytes:
    start, order = _place(content, rng), "<>"[rng.integers(2)]
    if rng.random() < 0.5:
        start -= start % 4  # numbers of headers are aligned
    kind = rng.integers(4)
    if kind < 2:
        value = EXTREMES[rng.integers(len(EXTREMES))]
        size = (4, 8)[kind]
        raw = (value % 2 ** (8 * size)).to_bytes(size, "little" if order == "<" else "big")
    else:
        with np.errstate(over="ignore"):
            raw = np.array(FLOATS[rng.integers(len(FLOATS))], f"{order}f{(4, 8)[kind - 2]}").tobytes()
    return content[:start] + raw + content[start + len(raw) :]


def other_content(content: bytes, rng: np.random.Generator) -> bytes:
    """Nothing, noise, or a sound file of another format."""
    kinds = (b"", b"\0" * 64, b"[]", b"null", b"\xff" * 300, rng.bytes(300), *SOUND_OF_OTHERS())
    return kinds[rng.integers(len(kinds))]


def grow(content: bytes, rng: np.random.Generator) -> bytes:
    """More than belongs there: content twice, or many bytes behind its end."""
    return (
        content * 2 if rng.random() < 0.5 else content + (b"\0", b"\xff", b" ")[rng.integers(3)] * 5_000_000
    )


_OF_BYTES: list[Damage] = [
    flip, flip, truncate, fill, move, extreme_number, extreme_number, other_content, grow
]  # fmt: skip
_OF_FORMATS: dict[bytes, list[Damage]] = {
    b"PK": [damage_archives.zip_member],
    b"\x93NUMPY": [damage_archives.array],
    b"\x89PNG": [damage_binary.png],
    b"\xff\xd8": [damage_binary.jpeg],
    b"ply\n": [damage_text.header],
    b"# .PCD": [damage_text.header],
    b"SQLite format 3": [damage_binary.sqlite],
    b"\x89MCAP": [damage_binary.mcap],
    b"#ROSBAG": [damage_binary.ros1],
    b"ASTM-E57": [damage_binary.e57],
    b"MATLAB": [damage_binary.mat],
    b"LASF": [damage_binary.las],
}
