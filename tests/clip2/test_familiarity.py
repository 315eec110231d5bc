"""What is like nothing a model was trained on is unknown to it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from support.training_shapes import WORDS, surface, unit_rows

import clip2
from clip2.checkpoint import add_familiarity, read_config, save
from clip2.labels import UNKNOWN
from clip2.model import Clip2Model
from clip2.model_config import ModelConfig
from clip2.ood.detector import ALWAYS, KINDS, OODDetector, describe, fit_ood_detector
from clip2.teacher import TextBank
from clip2.training import TrainingSet, pack
from data_prep.errors import InputError

WIDTH = 24
# Three kinds of things, each around its own place; nothing has any part along the last axes.
PLACES = 6.0 * np.eye(3, WIDTH)


def things(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    groups = random.integers(0, 3, count)
    noise = random.normal(size=(count, WIDTH)) * ([1.0] * 8 + [0.05] * (WIDTH - 8))
    return (PLACES[groups] + noise).astype(np.float32), groups


def strange_places(count: int, seed: int) -> np.ndarray:
    """On the other side of the origin, and between the three."""
    random = np.random.default_rng(seed)
    spots = np.concatenate([-PLACES, PLACES.mean(axis=0, keepdims=True)])[random.integers(0, 4, count)]
    return (spots + random.normal(size=(count, WIDTH))).astype(np.float32)


@pytest.fixture(scope="module")
def fitted() -> OODDetector:
    return OODDetector.fit(*things(1500, 0), things(600, 1)[0], strangers=[strange_places(400, 2)])


@pytest.mark.parametrize("kind", KINDS)
def test_as_many_fresh_things_are_familiar_as_was_asked_for(fitted: OODDetector, kind) -> None:
    fresh = things(1000, 2)[0]
    assert fitted.using(kind).is_in_distribution(fresh).mean() == pytest.approx(0.95, abs=0.03)
    assert fitted.using(kind, quantile=0.7).is_in_distribution(fresh).mean() == pytest.approx(0.7, abs=0.06)


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_off_the_things_or_between_them_is_unknown(fitted: OODDetector, kind) -> None:
    random = np.random.default_rng(3)
    opposite = (-PLACES[random.integers(0, 3, 100)] + random.normal(size=(100, WIDTH))).astype(np.float32)
    between = (PLACES.mean(axis=0) + 0.3 * random.normal(size=(100, WIDTH))).astype(np.float32)
    model = fitted.using(kind)
    assert model.is_in_distribution(opposite).mean() < 0.05
    assert model.is_in_distribution(between).mean() < 0.05
    assert model.distance(opposite).mean() > model.distance(things(100, 4)[0]).mean()


def test_mahalanobis_by_hand() -> None:
    """Two groups on a line with variance 1 within: the distance is the squared offset from the nearer one."""
    random = np.random.default_rng(0)
    offsets = random.permutation(np.linspace(-1, 1, 2000)) * np.sqrt(3)  # variance 1
    groups = np.arange(2000) % 2
    features = np.stack([20.0 * groups + offsets, random.normal(size=2000)], axis=1).astype(np.float32)
    fitted = OODDetector.fit(features, groups, features, kind="mahalanobis")
    asked = np.array([[0, 0], [3, 0], [22, 0], [-4, 0]], np.float32)
    # The floor under the variances makes them a tenth larger here.
    assert fitted.distance(asked) == pytest.approx([0, 9, 4, 16], rel=0.12, abs=0.05)
    relative = fitted.using("relative").distance(asked)
    overall = (asked[:, 0] - 10) ** 2 / 101  # 100 between the groups, 1 within
    assert relative == pytest.approx(np.array([0, 9, 4, 16]) - overall, rel=0.12, abs=0.1)


def test_neighbors_by_hand() -> None:
    """On the circle around the mean, the distance is 1 minus the cosine to the fifth nearest training object."""
    angles = np.deg2rad(np.arange(0, 360, 10))
    features = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32) * 3
    fitted = OODDetector.fit(features, None, features, kind="knn")
    # Nearest: itself, two at 10 degrees, two at 20 degrees.
    assert fitted.distance(features[:4]) == pytest.approx([1 - np.cos(np.deg2rad(20))] * 4, abs=2e-3)
    assert fitted.distance(features[:4] * 50) == pytest.approx(fitted.distance(features[:4]), abs=2e-3)


def test_objects_of_no_group_count_among_all_but_make_no_group() -> None:
    features, groups = things(900, 5)
    odd = np.tile(np.float32(-6) * np.eye(1, WIDTH, 7, dtype=np.float32), (300, 1))
    odd += np.random.default_rng(0).normal(size=odd.shape).astype(np.float32) * 0.3
    both = np.concatenate([features, odd])
    member = np.concatenate([groups, np.full(300, -1)])
    for kind in ALWAYS:
        fitted = OODDetector.fit(both, member, things(400, 6)[0], kind=kind)
        assert len(fitted.groups) == 3
        assert fitted.is_in_distribution(odd).mean() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_read_back_it_measures_the_same(fitted: OODDetector, kind, tmp_path: Path) -> None:
    used = fitted.using(kind, quantile=0.9)
    used.save(tmp_path / "f.safetensors")
    read = OODDetector.load(tmp_path / "f.safetensors")
    assert (read.kind, read.quantile, read.limit) == (kind, 0.9, used.limit)
    asked = things(50, 7)[0]
    assert np.array_equal(read.distance(asked), used.distance(asked))
    used.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "f.safetensors").read_bytes()


def test_the_widest_statistics_fit_into_one_and_a_half_megabytes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(6000, 1024)).astype(np.float32)
    groups = random.integers(0, 80, 6000)
    OODDetector.fit(features, groups, features[:100]).save(tmp_path / "f.safetensors")
    assert (tmp_path / "f.safetensors").stat().st_size <= 1.5e6


def test_directions_without_variance_do_no_harm() -> None:
    features, groups = things(300, 8)
    flat = np.concatenate([features, np.ones((300, 5), np.float32), features[:, :2]], axis=1)
    strangers = [-flat, np.where(np.arange(flat.shape[1]) < 3, 20, flat).astype(np.float32)]
    for kind in KINDS:
        fitted = OODDetector.fit(flat, groups, flat, kind=kind, strangers=strangers)
        assert np.isfinite(fitted.distance(flat * 1e3)).all()
        assert fitted.is_in_distribution(flat).mean() == pytest.approx(0.95, abs=0.02)


def test_batches_do_not_matter(fitted: OODDetector) -> None:
    asked = things(700, 9)[0]
    one_by_one = np.concatenate([fitted.distance(row[None]) for row in asked[::50]])
    assert fitted.distance(asked)[::50] == pytest.approx(one_by_one, abs=1e-3)
    assert fitted.distance(asked[:0]).shape == (0,)


def test_what_is_not_finite_is_not_familiar(fitted: OODDetector) -> None:
    assert not fitted.is_in_distribution(np.full((1, WIDTH), np.nan, np.float32)).any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"features": np.zeros((3, WIDTH), np.float32)}, "features: is (3, 24). Fix: give at least 10"),
        ({"features": np.zeros(WIDTH, np.float32)}, "features"),
        ({"features": np.full((100, WIDTH), np.nan, np.float32)}, "not finite"),
        ({"features": np.ones((100, WIDTH), np.float32)}, "all the same"),
        ({"calibration": np.zeros((20, 3), np.float32)}, "calibration: is (20, 3)"),
        ({"calibration": np.zeros((0, WIDTH), np.float32)}, "calibration"),
        ({"groups": np.zeros(4, np.int64)}, "groups"),
        ({"groups": np.zeros(100)}, "groups: is float64"),
        ({"groups": np.full(100, -1)}, "no group has 5 members"),
        ({"quantile": 1.0}, "quantile"),
        ({"kind": "vim"}, "use relative, mahalanobis, knn"),
        ({"kind": "exposed"}, "use relative, mahalanobis, knn"),
        ({"strangers": [np.zeros((20, 3), np.float32)]}, "strangers: is (20, 3)"),
        ({"strangers": [np.zeros((2, WIDTH), np.float32)]}, "strangers[0]: is (2, 24)"),
    ],
)
def test_impossible_statistics_are_one_line(change: dict, said: str) -> None:
    features, groups = things(100, 0)
    given = {"features": features, "groups": groups, "calibration": things(40, 1)[0], **change}
    with pytest.raises(InputError) as error:
        OODDetector.fit(**given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_features_of_another_encoder_are_refused(fitted: OODDetector) -> None:
    with pytest.raises(InputError, match="24 wide"):
        fitted.distance(np.zeros((1, WIDTH + 1), np.float32))


def test_files_that_are_something_else_are_refused(fitted: OODDetector, tmp_path: Path) -> None:
    from safetensors.numpy import save_file

    path = tmp_path / "f.safetensors"
    with pytest.raises(InputError, match="is not a safetensors file"):
        OODDetector.load(path)
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match="is not a safetensors file"):
        OODDetector.load(path)
    save_file({"weight": np.zeros(3)}, path)
    with pytest.raises(InputError, match="clip2-familiarity"):
        OODDetector.load(path)
    replace(fitted, spread=fitted.spread[:2]).save(path)
    with pytest.raises(InputError, match="spread"):
        OODDetector.load(path)


def shapes(count: int, seed: int, colored: bool = False) -> TrainingSet:
    """Balls, boxes and pipes."""
    random = np.random.default_rng(seed)
    words = [int(word) for word in random.integers(0, 3, count)]
    objects = []
    for word in words:
        points = surface(word, random)
        objects.append((points, np.full(points.shape, 90, np.uint8) if colored else None))
    return pack(objects, [[word] for word in words], WORDS, unit_rows(3), "ViT-B-32/openai")


def small_model(color: bool) -> Clip2Model:
    torch.manual_seed(0)
    config = {
        "encoder": {"name": "pointnet", "options": {"widths": (32, 64)}},
        "preprocessing": {"num_points": 96, "color": color, "size": True},
        "teacher": {"name": "ViT-B-32/openai", "width": 16},
        "colors_seen": "both" if color else "absent",
    }
    bank = TextBank(WORDS, unit_rows(3), "ViT-B-32/openai")
    return Clip2Model(ModelConfig.model_validate(config), bank).eval()


def test_objects_are_described_as_in_use() -> None:
    data = shapes(12, 0, colored=True)
    rows = np.array([3, 1, 7])
    model = small_model(color=True)
    seen = describe(model, data, rows)
    clouds = [data.cloud(int(row)) for row in rows]
    with_color = model.describe([points for points, _ in clouds], [color for _, color in clouds])
    assert np.array_equal(seen[:3], with_color.features)
    assert np.array_equal(seen[3:], model.describe([points for points, _ in clouds]).features)
    assert not np.array_equal(seen[:3], seen[3:])
    assert describe(small_model(color=False), data, rows).shape == (3, model.encoder.width)


@pytest.fixture(scope="module")
def knowing() -> Clip2Model:
    """A model with statistics of balls, boxes and pipes."""
    model = small_model(color=False)
    data = shapes(240, 1)
    model.familiarity = fit_ood_detector(model, data, np.arange(160), np.arange(160, 240), kind="mahalanobis")
    return model


def strange_clouds(count: int) -> list[np.ndarray]:
    """Sticks of fifty meters: nothing of the kind was ever seen."""
    random = np.random.default_rng(5)
    return [(random.normal(size=(200, 3)) * [25, 0.01, 0.01]).astype(np.float32) for _ in range(count)]


def test_a_model_calls_what_it_never_saw_unknown(knowing: Clip2Model) -> None:
    fresh = shapes(60, 9)
    known = knowing.classify([fresh.cloud(i)[0] for i in range(60)])
    assert known.familiar.mean() > 0.85
    strange = knowing.classify(strange_clouds(5))
    assert not strange.familiar.any()
    assert strange.best == (UNKNOWN,) * 5
    assert {label for best in strange.top(1) for label, _ in best} <= set(WORDS)
    assert strange.scores.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    knows_nothing = small_model(color=False).classify(strange_clouds(2))
    assert knows_nothing.familiar.all()
    assert UNKNOWN not in knows_nothing.best


def test_strangers_given_to_the_fit_are_strange_and_make_no_group(knowing: Clip2Model) -> None:
    data = shapes(240, 1)
    rows = (np.arange(160), np.arange(160, 240))
    sticks = knowing.describe(strange_clouds(40)).features
    fitted = fit_ood_detector(knowing, data, *rows, strangers=[sticks])
    assert fitted.kind == "exposed"
    assert len(fitted.groups) == 3
    assert len(fitted.prototypes) == 160
    assert not fitted.is_in_distribution(knowing.describe(strange_clouds(9)).features).any()
    with pytest.raises(InputError, match="strangers: is"):
        fit_ood_detector(knowing, data, *rows, strangers=[sticks[:, :5]])


def test_sources_of_strangers_weigh_the_same_whatever_their_number() -> None:
    features, groups = things(900, 10)
    few, many = (
        strange_places(60, 11),
        np.tile(np.float32(-4) * np.eye(1, WIDTH, 8, dtype=np.float32), (3000, 1)),
    )
    fitted = OODDetector.fit(features, groups, things(400, 12)[0], strangers=[few, many])
    assert fitted.is_in_distribution(strange_places(200, 13)).mean() < 0.1
    assert fitted.is_in_distribution(many).mean() < 0.1


def test_the_network_is_the_same_on_every_run_and_leaves_the_callers_randomness_alone() -> None:
    features, groups = things(300, 14)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    twice = [
        OODDetector.fit(features, groups, features, strangers=[strange_places(100, 15)]) for _ in range(2)
    ]
    assert torch.equal(torch.rand(3), expected)
    asked = things(40, 16)[0]
    assert np.array_equal(twice[0].distance(asked), twice[1].distance(asked))


def test_the_word_unknown_cannot_be_asked_for(knowing: Clip2Model) -> None:
    with pytest.raises(InputError, match="'unknown' is not a word to ask for"):
        knowing.classify(strange_clouds(1), "ball, Unknown")


def test_statistics_travel_with_the_checkpoint(knowing: Clip2Model, tmp_path: Path) -> None:
    save(knowing, tmp_path / "run", training={"step": 3})
    loaded = clip2.load(tmp_path / "run")
    assert loaded.familiarity is not None
    assert loaded.familiarity.limit == knowing.familiarity.limit
    assert loaded.classify(strange_clouds(2)).best == (UNKNOWN, UNKNOWN)
    assert read_config(tmp_path / "run").familiarity is not None


def test_statistics_can_be_added_later(knowing: Clip2Model, tmp_path: Path) -> None:
    bare = small_model(color=False)
    save(bare, tmp_path / "run", training={"step": 3})
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    assert clip2.load(tmp_path / "run").familiarity is None
    add_familiarity(tmp_path / "run", knowing.familiarity)
    assert clip2.load(tmp_path / "run").classify(strange_clouds(1)).best == (UNKNOWN,)
    assert read_config(tmp_path / "run").training == {"step": 3}
    for name in ("model.safetensors", "text_bank.npz"):
        assert (tmp_path / "run" / name).read_bytes() == before[name]
    with pytest.raises(InputError, match="familiarity: are 24 wide, the encoder is 64 wide"):
        add_familiarity(tmp_path / "run", OODDetector.fit(*things(100, 0), things(40, 1)[0]))


def test_altered_statistics_are_refused(knowing: Clip2Model, tmp_path: Path) -> None:
    save(knowing, tmp_path / "run")
    path = tmp_path / "run" / "familiarity.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"familiarity.safetensors.*sha256"):
        clip2.load(tmp_path / "run")
    path.unlink()
    with pytest.raises(InputError, match=r"familiarity.safetensors: is missing"):
        clip2.load(tmp_path / "run")
