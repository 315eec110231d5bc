"""Values that readers stumble over."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

EXTREMES = (0, -1, 1, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 255)
FLOATS = (float("nan"), float("inf"), -float("inf"), 1e19, -1e30, 3e38, 1e-40, -0.0)
ESCAPE = "\x1b]0;PWN\x07"
NAMES = (
    ESCAPE, "<script>alert(1)</script>", "'\" onload=alert(1)", "=1+1", "x" * 5000, "\u202egnp.exe", "a\nb", "\0", "e\u0301",
    "..", ".", "", " ", "../outside", "/etc/passwd", "C:\\x", "%00", "{0.__class__}", "\ufeff", "\U0001f600", "con",
)  # fmt: skip
TOKENS = (
    "NaN", "Infinity", "-Infinity", "-1", "0", "1e999", "-1e30", "1e308", "9" * 5000, "9" * 30, "18446744073709551616",
    "0x7fffffff", "1_000", "true", "null", '"x"', '""', "[]", "{}", "1.5", "\\ud800", "&a [*a]", "!!timestamp x", "'", "~",
    "!!python/object/apply:os.system [ls]", "1:30", "2001-01-01", "\u0661", "٣٤", *NAMES,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, 10**18, 2**64, 10**400, 1e308, -1e308, 5e-324, "", "x", "\ud800", [], {}, [[]], {"": None},
    [1, "a", None], [True, True, True], float("nan"), float("inf"), [[1, 2], [3]], "1", [0] * 10_000, *NAMES,
)  # fmt: skip
NESTED = ("[" * 100_000, '{"a":' * 100_000, "[" * 100_000 + "]" * 100_000, "[" * 900 + "]" * 900)


@cache
def SOUND_OF_OTHERS() -> tuple[bytes, ...]:
    """Small sound files of many formats: under the wrong name each is damage."""
    found = [
        pickle.dumps({"a": 1}),
        b"%YAML 1.2\n---\na: 1\n",
        b"ply\nformat ascii 1.0\nend_header\n",
        b"1 2 3\n4 5 6\n",
    ]
    for mode, format in (
        ("RGB", "PNG"),
        ("I;16", "PNG"),
        ("L", "PNG"),
        ("CMYK", "JPEG"),
        ("RGBA", "TIFF"),
        ("P", "GIF"),
    ):
        stream = io.BytesIO()
        Image.new(mode, (7, 5)).save(stream, format)
        found.append(stream.getvalue())
    for array in (np.zeros((2, 3)), np.zeros(0), np.array(["a", "b"]), np.array(1.0), np.zeros((2, 3), bool)):
        stream = io.BytesIO()
        np.save(stream, array)
        found.append(stream.getvalue())
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.npy", found[-1])
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return (*found, stream.getvalue(), len(header).to_bytes(8, "little") + header + b"\0" * 4)
