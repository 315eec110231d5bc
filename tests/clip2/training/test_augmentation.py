from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from clip2.training.augmentation import cut, disturb, draw_points, drop_color, rotate
from clip2.training.config import AugmentationConfig


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_dropout_every_point_of_a_small_object_is_shown_about_equally_often() -> None:
    index, distinct = draw_points(torch.tensor([10]), 40, 0.0, generator())
    assert distinct.tolist() == [10]
    assert torch.bincount(index[0], minlength=10).tolist() == [4] * 10


def test_a_large_object_is_sampled_without_repeats_and_all_over() -> None:
    counts = torch.tensor([4096] * 200)
    index, distinct = draw_points(counts, 64, 0.0, generator())
    assert distinct.tolist() == [64] * 200
    assert all(len(row.unique()) == 64 for row in index)
    # 12,800 draws over 64 equal parts of the list: 200 each, give or take.
    parts = torch.bincount(index.flatten() // 64, minlength=64)
    assert parts.min() > 120
    assert parts.max() < 280


def test_dropout_leaves_between_its_share_and_all() -> None:
    _, distinct = draw_points(torch.tensor([100] * 500), 100, 0.5, generator())
    assert distinct.min() >= 50
    assert distinct.max() <= 100
    assert 70 < distinct.float().mean() < 80


def test_indices_stay_inside_objects_of_any_size() -> None:
    counts = torch.tensor([1, 2, 3, 63, 64, 65, 1000, 2**31])
    for seed in range(20):
        index, distinct = draw_points(counts, 64, 0.9, generator(seed))
        assert (index >= 0).all()
        assert (index < counts[:, None]).all()
        assert (distinct >= 1).all()


def test_rotation_about_z_keeps_heights_and_distances() -> None:
    points = torch.randn(6, 30, 3, generator=generator())
    turned = rotate(points, AugmentationConfig(), generator(1))
    assert torch.allclose(turned[..., 2], points[..., 2])
    assert torch.allclose(turned.norm(dim=-1), points.norm(dim=-1), atol=1e-5)
    assert not torch.allclose(turned, points, atol=0.1)


def test_tilt_leans_by_no_more_than_it_says() -> None:
    up = torch.tensor([[[0.0, 0.0, 1.0]]]).expand(500, 1, 3)
    leaning = rotate(up, AugmentationConfig(tilt_degrees=10), generator())[:, 0, 2].acos().rad2deg()
    assert leaning.max() <= 10.01
    assert leaning.max() > 9
    assert leaning.mean() == pytest.approx(5, abs=0.5)


def test_scale_shift_and_jitter_stay_in_their_bounds() -> None:
    point = torch.tensor([[[1.0, 0.0, 0.0]]]).expand(1000, 1, 3)
    scaled = disturb(point, AugmentationConfig(scale=(0.5, 2.0), shift=0, jitter=0), generator())
    assert 0.5 <= scaled[..., 0].min() < 0.55
    assert 1.95 < scaled[..., 0].max() <= 2.0
    shifted = disturb(point, AugmentationConfig(scale=(1, 1), shift=0.1, jitter=0), generator()) - point
    assert 0.09 < shifted.abs().max() <= 0.1 + 1e-6
    noise = disturb(point, AugmentationConfig(scale=(1, 1), shift=0, jitter=0.01), generator()) - point
    assert noise.abs().max() <= 0.03 + 1e-6
    assert noise.std() == pytest.approx(0.01, rel=0.1)


def test_color_is_dropped_where_it_was_and_never_invented() -> None:
    present = torch.arange(1000) % 2 == 0
    kept = drop_color(present, 0.2, generator())
    assert not (kept & ~present).any()
    assert kept.sum().item() == pytest.approx(400, abs=40)
    assert torch.equal(drop_color(present, 0.0, generator()), present)
    assert not drop_color(present, 1.0, generator()).any()


def test_a_cut_leaves_the_points_on_one_side_of_a_plane() -> None:
    points = torch.randn(40, 64, 3, generator=generator())
    lengths = torch.full((40,), 48)
    rows, kept = cut(points, lengths, 0.5, generator())
    whole = kept == 48
    assert 8 < whole.sum() < 32
    assert kept.min() >= 12
    assert torch.equal(rows[whole][:, :48], torch.arange(48).expand(int(whole.sum()), 48))
    for cloud, left, number in zip(points, rows, kept.tolist(), strict=True):
        inside = left[:number]
        assert inside.unique().numel() == number
        assert inside.max() < 48
        assert torch.equal(left, inside[torch.arange(64) % number])
        if number < 40:  # a plane separates what is left from what is gone
            gone = np.setdiff1d(np.arange(48), inside.numpy())
            sides = np.r_[np.ones(number), -np.ones(len(gone))]
            found = linprog(
                np.zeros(4),
                A_ub=-sides[:, None] * np.c_[cloud[np.r_[inside.numpy(), gone]].numpy(), np.ones(48)],
                b_ub=np.full(48, -1e-4),
                bounds=[(None, None)] * 4,
            )
            assert found.success
