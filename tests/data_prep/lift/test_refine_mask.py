"""Outlines moved to where color and depth change, on pictures whose truth is known to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from data_prep.lift.refine_mask import refine_mask

RED, WHITE = (200, 40, 40), (230, 230, 230)
BOX = np.array([30, 20, 79, 69])


def disc(radius: float, shape: tuple[int, int] = (90, 110)) -> NDArray[np.bool_]:
    v, u = np.mgrid[: shape[0], : shape[1]]
    return (u - 54.5) ** 2 + (v - 44.5) ** 2 <= radius**2


def picture(
    truth: NDArray[np.bool_], color: tuple[int, int, int], step: float
) -> tuple[NDArray[np.uint8], NDArray]:
    """A thing in its own color, ``step`` meters before a white wall 2 m away; both with a camera's noise."""
    random = np.random.default_rng(0)
    image = np.where(truth[..., None], color, WHITE) + random.normal(0, 6, (*truth.shape, 3))
    depth = np.where(truth, 2.0 - step, 2.0) + random.normal(0, 0.004, truth.shape)
    return image.clip(0, 255).astype(np.uint8), depth


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / (a | b).sum())


@pytest.mark.parametrize("rough", [18, 30])
def test_a_choice_too_small_or_too_large_grows_or_shrinks_to_the_colors_edge(rough: float) -> None:
    """Flat on the wall, so that depth says nothing."""
    truth = disc(24)
    image, depth = picture(truth, RED, step=0.0)
    assert iou(disc(rough), truth) < 0.66
    assert iou(refine_mask(image, depth, BOX, disc(rough)), truth) > 0.93


def test_a_step_in_depth_ends_a_thing_of_the_walls_color() -> None:
    truth = disc(24)
    image, depth = picture(truth, WHITE, step=0.5)
    assert iou(refine_mask(image, depth, BOX, truth), truth) > 0.99


def test_where_nothing_changes_the_choice_stays_as_it_was() -> None:
    truth = disc(24)
    image, depth = picture(truth, WHITE, step=0.0)
    assert iou(refine_mask(image, depth, BOX, truth), truth) > 0.9


def test_nothing_outside_the_box_and_nothing_without_depth_is_taken() -> None:
    truth = disc(24)
    image, depth = picture(truth, RED, step=0.0)
    depth[40:44] = 0
    small = np.array([30, 20, 54, 69])
    found = refine_mask(image, depth, small, disc(20))
    assert found[:, :55].any()
    assert not found[:, 55:].any()
    assert not found[40:44].any()


def test_a_large_thing_is_looked_at_coarsely_and_keeps_its_fine_outline() -> None:
    """12 times the pixels: every fourth is looked at, the outline is still exact to the pixel where it was right."""
    truth = disc(24).repeat(8, 0).repeat(8, 1)
    image, depth = picture(truth, RED, step=0.3)
    found = refine_mask(image, depth, np.array([240, 160, 639, 559]), truth)
    assert iou(found, truth) > 0.999


def test_a_choice_far_from_its_box_is_empty_and_stays_empty() -> None:
    image, depth = picture(disc(24), RED, step=0.0)
    nothing = np.zeros(depth.shape, dtype=bool)
    assert not refine_mask(image, depth, BOX, nothing).any()
