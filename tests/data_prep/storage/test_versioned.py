from __future__ import annotations

import pytest

from data_prep.errors import BadDatasetError, InputError
from data_prep.storage.versioned import FileFormat

SETS = FileFormat("clip2-sets", 2)


def test_a_document_with_its_own_header_is_accepted() -> None:
    SETS.require({**SETS.header, "shards": []}, "manifest.json")


@pytest.mark.parametrize(
    "document, message",
    {
        "no object": ([], "a.json: format: is not a clip2-sets file. Fix: mine again"),
        "no header": ({}, "a.json: format: is not a clip2-sets file. Fix: mine again"),
        "another format": ({"format": "x", "version": 2}, "a.json: format: is not a clip2-sets file. Fix: mine again"),
        "no version": ({"format": "clip2-sets"}, "a.json: version: is None, this release reads 2. Fix: mine again"),
        "older": ({"format": "clip2-sets", "version": 1}, "a.json: version: is 1, this release reads 2. Fix: mine again"),
        "newer": ({"format": "clip2-sets", "version": 3}, "a.json: version: is 3, this release reads 2. Fix: upgrade clip2"),
    }.values(),
)  # fmt: skip
def test_another_format_or_version_is_refused(document: object, message: str) -> None:
    with pytest.raises(BadDatasetError) as raised:
        SETS.require(document, "a.json", fix="mine again", error=BadDatasetError)
    assert str(raised.value) == message


def test_the_key_of_the_version_can_differ() -> None:
    checkpoint = FileFormat("clip2-checkpoint", 1, version_key="format_version")
    assert checkpoint.header == {"format": "clip2-checkpoint", "format_version": 1}
    with pytest.raises(InputError, match="format_version: is 2"):
        checkpoint.require({"format": "clip2-checkpoint", "format_version": 2}, "config.json")
