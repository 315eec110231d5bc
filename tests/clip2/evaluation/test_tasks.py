"""Corruptions, retrieval and few-shot against cases worked by hand, scikit-learn and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.evaluation_stand_ins import FLAT, TALL, TEN, RuleModel, flat_or_tall, put_mesh

import clip2
from clip2.evaluation.corruptions import CORRUPTIONS, Corrupt, Turn
from clip2.evaluation.metrics import retrieval_metrics, search_by_class
from clip2.evaluation.objects import Cloud

BALL = np.random.default_rng(0).normal(size=(1024, 3))
BALL /= np.linalg.norm(BALL, axis=1, keepdims=True)
BALL *= np.random.default_rng(1).uniform(0.2, 1, (1024, 1))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_every_corruption_changes_the_cloud_and_repeats(name: str) -> None:
    colors = np.random.default_rng(0).integers(0, 255, (1024, 3)).astype(np.uint8)
    cloud = Cloud(BALL * 3 + 7, colors)
    for severity in (1, 5):
        changed = Corrupt(name, severity, 0)(cloud, 4)
        again = Corrupt(name, severity, 0)(cloud, 4)
        assert np.array_equal(changed.points, again.points)
        assert np.isfinite(changed.points).all()
        assert changed.colors.shape == changed.points.shape
        assert changed.points.shape != cloud.points.shape or not np.allclose(changed.points, cloud.points)
        assert not np.array_equal(changed.points, Corrupt(name, severity, 1)(cloud, 4).points)


def test_corruptions_have_the_published_strength() -> None:
    """Counts and sizes that the paper states for 1,024 points."""
    random = np.random.default_rng(0)
    sizes = {name: [len(CORRUPTIONS[name](BALL, s, random)[0]) for s in (0, 4)] for name in CORRUPTIONS}
    assert sizes["cutout"] == [1024 - 2 * 30, 1024 - 10 * 30]
    assert sizes["density decrease"] == [1024 - 75, 1024 - 5 * 75]
    assert sizes["background noise"] == [1024 + 1024 // 45, 1024 + 1024 // 20]
    assert sizes["upsampling noise"] == [1024 + 1024 // 5, 2 * 1024]
    moved = CORRUPTIONS["uniform noise"](BALL, 4, random)[0] - BALL
    assert 0.045 < np.abs(moved).max() <= 0.05
    noise = CORRUPTIONS["gaussian noise"](BALL * 0.5, 4, random)[0] - BALL * 0.5
    assert noise.std() == pytest.approx(0.03, rel=0.05)
    turned = CORRUPTIONS["rotation"](BALL, 4, random)[0]
    assert np.allclose(np.linalg.norm(turned, axis=1), np.linalg.norm(BALL, axis=1))


def test_occlusion_and_lidar_are_two_corruptions() -> None:
    """On a shell they see the same half, but LiDAR keeps it in lines: fewer points, at few heights above the eye."""
    shell = Cloud(BALL / np.linalg.norm(BALL, axis=1, keepdims=True))
    occluded, scanned = (Corrupt(name, 2, 0)(shell, 0).points for name in ("occlusion", "lidar"))
    assert 0.2 < len(occluded) / 1024 < 0.5
    assert len(scanned) < 0.7 * len(occluded)
    assert not set(map(tuple, scanned)) & set(map(tuple, occluded))


def test_density_increase_gives_half_the_points_with_whole_clusters() -> None:
    random = np.random.default_rng(0)
    for severity in range(5):
        points, kept = CORRUPTIONS["density increase"](BALL, severity, random)
        assert len(points) == 512
        assert len(set(kept[: 50 * (severity + 1)])) == 50 * (severity + 1)


@pytest.mark.parametrize("name", ["rbf distortion", "inverse rbf distortion"])
def test_rbf_moves_its_control_points_by_the_published_distance(name: str) -> None:
    axis = np.linspace(-1, 1, 5)
    control = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3)
    moved, _ = CORRUPTIONS[name](control, 2, np.random.default_rng(0))
    assert np.allclose(np.linalg.norm(moved - control, axis=1), 0.075)


def test_a_random_turn_is_uniform_and_rigid() -> None:
    axis = Cloud(np.array([[0.0, 0, 0], [0, 0, 1]]))
    ends = np.array([Turn(0)(axis, index).points[1] for index in range(400)])
    assert np.allclose(np.linalg.norm(ends, axis=1), 1)
    assert np.abs(ends.mean(axis=0)).max() < 0.1


def test_retrieval_against_torchmetrics() -> None:
    functional = pytest.importorskip("torchmetrics.functional.retrieval")
    random = np.random.default_rng(0)
    scores, relevant = random.normal(size=(20, 30)), random.random((20, 30)) < 0.2
    relevant[:, 0] = True
    found = retrieval_metrics(scores, relevant)
    pairs = [(torch.tensor(s), torch.tensor(r)) for s, r in zip(scores, relevant, strict=True)]
    ndcg = np.mean([float(functional.retrieval_normalized_dcg(s, r.long(), top_k=5)) for s, r in pairs])
    hits = np.mean([float(functional.retrieval_hit_rate(s, r, top_k=5)) for s, r in pairs])
    assert found["NDCG@5"] == pytest.approx(ndcg, abs=1e-6)
    assert found["R@5"] == pytest.approx(hits)


def test_a_search_in_blocks_is_a_search_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    rows = random.normal(size=(60, 8)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    classes = np.arange(60) % 7
    scores, same = rows @ rows.T, classes[:, None] == classes[None]
    np.fill_diagonal(scores, -2)
    np.fill_diagonal(same, False)
    whole = retrieval_metrics(scores, same)
    monkeypatch.setattr("clip2.evaluation.metrics._CELLS_AT_ONCE", 60 * 11)
    assert search_by_class(rows, rows, classes, classes, np.arange(60)) == pytest.approx(whole)


@pytest.mark.parametrize("task", ["retrieval", "linear-probe", "few-shot"])
def test_tasks_by_hand(tmp_path, task: str) -> None:  # type: ignore[no-untyped-def]
    """Tables are flat and chairs tall, so whatever learns from the rule is right always."""
    pytest.importorskip("sklearn")
    for split in ("test", "train"):
        for number in range(3):
            more = 0.1 * number + (split == "train") * 0.05
            put_mesh(tmp_path / "ModelNet10", "table", number, (1 + more, *FLAT[1:]), split)
            put_mesh(tmp_path / "ModelNet10", "chair", number, (1 + more, *TALL[1:]), split)
    (result,) = clip2.evaluate(RuleModel(TEN, flat_or_tall), f"modelnet10/{task}", tmp_path)
    expected = {"retrieval": "label to cloud R@1", "linear-probe": "top-1", "few-shot": "cache, 2-shot"}[task]
    assert result.count == 6
    assert result.metrics[expected].value == 1.0
