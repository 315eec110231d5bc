"""One thing has no s."""

from __future__ import annotations

import pytest

from data_prep.report.counted import counted


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 shards"), (1, "1 shard"), (2, "2 shards"), (1200, "1,200 shards")]
)
def test_only_one_is_singular(number: int, words: str) -> None:
    assert counted(number, "shard") == words
