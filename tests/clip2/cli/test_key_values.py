"""``key=value`` options take the types that the reader declares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from clip2.cli.key_values import parameter_types, typed_options
from data_prep.errors import InputError
from data_prep.scans.sources import find_opener

WANTED = {
    "split": str,
    "count": int,
    "limit": int | None,
    "scale": float,
    "level": bool,
    "table": Path,
    "mode": Literal["fast", "exact"],
    "sequences": Sequence[str] | None,
    "sizes": tuple[float, ...],
    "words": str | Sequence[str],
    "cameras": tuple[str, ...],
    "image_size": tuple[int, int] | None,
}


@pytest.mark.parametrize(
    ("pair", "value"),
    [
        ("split=0001", "0001"),
        ("count=3", 3),
        ("limit=3", 3),
        ("scale=1e-3", 0.001),
        ("level=false", False),
        ("table=a/b.json", Path("a/b.json")),
        ("mode=exact", "exact"),
        ("sequences=0001", ["0001"]),
        ("sequences=0001, 0004", ["0001", "0004"]),
        ("sizes=1,2.5", (1.0, 2.5)),
        ("words=chair", "chair"),
        ("cameras=front", ("front",)),
        ("image_size=320,240", (320, 240)),
        ("words=chair,mug", ["chair", "mug"]),
        ("split=a=b", "a=b"),
    ],
)
def test_values_take_the_wanted_type(pair: str, value: object) -> None:
    (found,) = typed_options([pair], WANTED, "x").values()
    assert found == value
    assert type(found) is type(value)


def test_dashes_are_underscores() -> None:
    assert typed_options(["min-points=3"], {"min_points": int}, "x") == {"min_points": 3}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["split"], "--option: 'split' has no '='. Fix: write --option key=value"),
        (["color=red"], "'color' is not an option of kitti. Fix: known: cameras,"),
        (["count=three"], "--option count: 'three': input should be a valid integer"),
        (["mode=slow"], "--option mode: 'slow': input should be 'fast' or 'exact'"),
        (["count=1", "count=2"], "--option: count: is given twice"),
    ],
)
def test_wrong_options_are_refused_by_name(pairs: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        typed_options(pairs, WANTED, "kitti")


def test_a_reader_says_which_options_it_takes() -> None:
    assert parameter_types(find_opener("kitti-tracking")).keys() == {"split", "sequences"}


def test_functions_and_keyword_only_parameters_are_understood() -> None:
    def opener(root: Path, *, seed: int = 0, **rest: object) -> None: ...

    assert parameter_types(opener) == {"seed": int}
