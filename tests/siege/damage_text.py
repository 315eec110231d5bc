"""Damage of text, of JSON and YAML documents, of headers in text, and of HTTP requests."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import yaml
from siege.values import NAMES, NESTED, TOKENS, VALUES

_FILE_NAME = re.compile(rb"[A-Za-z0-9_/-]{1,100}(?<!/)\.[a-z0-9]{2,11}\b|(?<=\")[a-z]+/[A-Za-z0-9_-]+(?=\")")


def token(content: bytes, rng: np.random.Generator) -> bytes:
    """One token is another, or stands where none was."""
    tokens = list(re.finditer(rb"[A-Za-z0-9_.+-]+", content[:200_000]))
    if not tokens:
        return content
    found = tokens[rng.integers(len(tokens))]
    other = TOKENS[rng.integers(len(TOKENS))].encode()
    return content[: found.start()] + other + content[found.end() if rng.random() < 0.8 else found.start() :]


def lines(content: bytes, rng: np.random.Generator) -> bytes:
    """A line is gone, twice, long, at another place, or nested deeply; or the ends of all lines are of another system."""
    rows = content.split(b"\n")
    k, kind = int(rng.integers(len(rows))), rng.integers(7)
    if kind == 5:
        return content.replace(b"\n", (b"\r\n", b"\r", b"\0", b"\x0b", b"\xe2\x80\xa8")[rng.integers(5)])
    if kind == 6:
        return (b"\xef\xbb\xbf" + content, content.decode("latin1").encode("utf-16"))[rng.integers(2)]
    changed = ([], [rows[k]] * 2, [rows[k] * 50], [NESTED[rng.integers(4)].encode()], [rows[0], rows[k]])
    rows[k : k + 1] = changed[kind]
    return b"\n".join(rows)


def way_out(content: bytes, rng: np.random.Generator) -> bytes:
    """A name of a file leads out of the folder, to a sound file of the same name."""
    names = list(_FILE_NAME.finditer(content[:200_000]))
    if not names:
        return token(content, rng)
    found = names[rng.integers(len(names))]
    ways = (
        "../outside/",
        "../../outside/",
        "../../../outside/",
        "/proc/self/cwd/outside/",
        "x/../../outside/",
        "file:///proc/self/cwd/outside/",
    )
    return content[: found.start()] + ways[rng.integers(len(ways))].encode() + content[found.start() :]


def json_value(content: bytes, rng: np.random.Generator) -> bytes:
    """One value, key or element of a JSON document is another, missing, twice, or nested deeply."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return token(content, rng)
    return _changed(document, rng) or token(content, rng)


def yaml_value(content: bytes, rng: np.random.Generator) -> bytes:
    """As of JSON, in a YAML document (which JSON is)."""
    if len(content) > 1_000_000:  # PyYAML takes minutes for what another damage made of it
        return token(content, rng)
    try:
        document = yaml.safe_load(content)
        return (_changed(document, rng) if isinstance(document, dict) else None) or token(content, rng)
    except (yaml.YAMLError, TypeError, ValueError, RecursionError):
        return token(content, rng)


def _changed(document: Any, rng: np.random.Generator) -> bytes | None:
    places: list[tuple[Any, Any]] = []
    stack = [document]
    while stack and len(places) < 20_000:
        node = stack.pop()
        keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
        places += [(node, key) for key in keys]
        stack += [node[key] for key in keys]
    if not places:
        return None
    # Every level alike: most values lie in long lists, and what is above them means more.
    node, key = places[min(rng.integers(len(places)), rng.integers(len(places)))]
    kind, marker = rng.integers(9), "\u2603marker\u2603"
    if kind == 0:
        del node[key]
    elif kind == 1 and isinstance(node, dict):
        node[str(VALUES[rng.integers(len(VALUES))])] = node.pop(key)
    elif kind == 2:
        node[key] = marker
        return json.dumps(document).replace(json.dumps(marker), NESTED[rng.integers(4)]).encode()
    elif kind == 3 and isinstance(node, dict):  # the same key twice
        value, node[key] = json.dumps(VALUES[rng.integers(len(VALUES))]), marker
        twice = f"{value}, {json.dumps(str(key))}: {json.dumps(node.pop(key))}"
        node[key] = marker
        return json.dumps(document).replace(json.dumps(marker), twice).encode()
    elif kind == 4 and isinstance(node[key], list):
        node[key] = (node[key] * 3, node[key][:-1], [node[key]], node[key][::-1])[rng.integers(4)]
    elif kind == 5:
        near = {int: -1, float: -0.5, str: " ", bool: 0}
        node[key] = near.get(type(node[key]), [node[key]])  # right type or nearly
    elif kind == 6 and isinstance(node[key], int | float):
        node[key] = node[key] * (10**9, -1, 1e30, 0.5)[rng.integers(4)]
    else:
        node[key] = VALUES[rng.integers(len(VALUES))]
    try:
        return json.dumps(document, ensure_ascii=bool(rng.integers(2))).encode("utf-8", "surrogatepass")
    except (ValueError, TypeError):
        return None


def header(content: bytes, rng: np.random.Generator) -> bytes:
    """The text before the values of a PLY or PCD is damaged; the values are as they were."""
    end = re.search(rb"end_header\r?\n|DATA [a-z_]+\r?\n", content)
    stop = end.end() if end else min(len(content), 300)
    head, kind = content[:stop], rng.integers(6)
    if kind < 2:
        numbers = list(re.finditer(rb"(?<= )\d+(?=[\s])", head))
        if numbers:
            found = numbers[rng.integers(len(numbers))]
            other = (b"-1", b"0", b"1", b"3", b"999999999999", b"4294967296", b"9" * 30, b"1.5")[
                rng.integers(8)
            ]
            return content[: found.start()] + other + content[found.end() :]
    if kind == 2:
        types = (
            b"double",
            b"float",
            b"uchar",
            b"int",
            b"list uchar int",
            b"list int double",
            b"F",
            b"U",
            b"I",
            b"x",
        )
        found = re.search(rb"double|float|uchar|F|U", head)
        if found:
            return head.replace(found.group(), types[rng.integers(len(types))], 1) + content[stop:]
    if kind == 3:
        return lines(head, rng) + content[stop:]
    return token(head, rng) + content[stop:]


def http(content: bytes, rng: np.random.Generator) -> bytes:
    """A request whose path, headers, lengths or body are damaged; of a damaged body the length is right."""
    from siege.damage import damaged

    head, _, body = content.partition(b"\r\n\r\n")
    rows, kind = head.split(b"\r\n"), rng.integers(10)
    k = int(rng.integers(len(rows)))
    if kind < 5:
        parts = body.split(b"\r\n\r\n", 1)
        if len(parts) == 2 and rng.random() < 0.7:  # the file inside a form, not its frame
            file, edge, rest = parts[1].partition(b"\r\n--")
            body = parts[0] + b"\r\n\r\n" + damaged(file, rng) + edge + rest
        else:
            body = damaged(body, rng)
        rows = [row for row in rows if not row.lower().startswith(b"content-length")]
        rows.append(f"Content-Length: {len(body)}".encode())
    elif kind == 5:
        rows[0] = token(rows[0], rng)
    elif kind == 6:
        rows[k : k + 1] = ([], [rows[k]] * 2, [rows[k] + b"x" * 100_000], [rows[k], b" folded: 1"])[
            rng.integers(4)
        ]
    elif kind == 7:
        lengths = (b"-1", b"0", b"1", b"99999999999999999999", b"+5", b"0x10", b"5, 6", b"", b"\xff")
        rows = [row for row in rows if not row.lower().startswith(b"content-length")]
        rows.append(b"Content-Length: " + lengths[rng.integers(len(lengths))])
    elif kind == 8:
        types = (b"text/html", b"application/json", b"multipart/form-data", b"multipart/form-data; boundary=", b"a" * 5000, b"x",
                 b"multipart/form-data; boundary=" + b"-" * 300, b"application/octet-stream", b"application/json; charset=utf-7")  # fmt: skip
        rows = [row for row in rows if not row.lower().startswith(b"content-type")]
        rows.append(b"Content-Type: " + types[rng.integers(len(types))])
    else:
        extra = (b"Transfer-Encoding: chunked", b"Transfer-Encoding: x", b"Content-Encoding: gzip", b"Expect: 100-continue",
                 b"Host: " + NAMES[rng.integers(len(NAMES))].encode("latin1", "replace"), b"Connection: upgrade\r\nUpgrade: websocket",
                 b"Range: bytes=0-99999999999", b"Origin: http://evil.example", b"Authorization: Bearer " + b"x" * 5000)  # fmt: skip
        rows.append(extra[rng.integers(len(extra))])
    return b"\r\n".join(rows) + b"\r\n\r\n" + body
