"""Which file name means which image."""

from __future__ import annotations

import pytest

from data_prep import BadDatasetError
from data_prep.detect.coco import ImageNames

NAMES = ["training/image_2/000000.png", "training/image_2/000001.png"]


@pytest.mark.parametrize(
    "asked, found",
    [
        ("training/image_2/000000.png", "training/image_2/000000.png"),
        ("./training/image_2/000000.png", "training/image_2/000000.png"),
        ("training\\image_2\\000000.png", "training/image_2/000000.png"),
        ("image_2/000000.png", "training/image_2/000000.png"),
        ("000001.png", "training/image_2/000001.png"),
        ("/data/kitti/training/image_2/000001.png", "training/image_2/000001.png"),
        ("training/image_3/000000.png", None),
        ("0.png", None),
        ("00001.png", None),
    ],
)
def test_equality_or_one_path_ends_the_other(asked: str, found: str | None) -> None:
    assert ImageNames(NAMES).find(asked) == found


def test_the_longest_common_end_wins() -> None:
    names = ImageNames(["0.png", "b/0.png", "c/b/0.png"])
    assert names.find("a/b/0.png") == "b/0.png"


def test_equally_good_names_are_ambiguous() -> None:
    with pytest.raises(BadDatasetError, match=r"could be 'a/0\.png' or 'b/0\.png'"):
        ImageNames(["a/0.png", "b/0.png"]).find("0.png")
