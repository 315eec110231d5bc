"""Detector of objects unlike the training set: thresholds, files, and the label ``unknown``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file
from support.training_shapes import WORDS, surface, unit_rows

import clip2
from clip2.checkpoint import add_ood_detector, read_config, save
from clip2.labels import UNKNOWN
from clip2.model import Clip2Model
from clip2.model_config import ModelConfig
from clip2.ood import OODDetector
from clip2.teacher import TextBank
from clip2.training import TrainingSet, pack
from clip2.training.fit_ood import describe_objects, fit_ood_detector
from data_prep.errors import InputError

RELEASE_0_1_0 = Path(__file__).parents[2] / "data" / "v0.1.0" / "model"

WIDTH = 24
# Three kinds of objects, each around its own place; features hardly vary along the last axes.
PLACES = 6.0 * np.eye(3, WIDTH)


def known_features(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    places = PLACES[random.integers(0, 3, count)]
    return (places + random.normal(size=(count, WIDTH)) * ([1.0] * 8 + [0.05] * (WIDTH - 8))).astype(
        np.float32
    )


def outlier_features(count: int, seed: int) -> np.ndarray:
    """On the other side of the origin, and between the three."""
    random = np.random.default_rng(seed)
    spots = np.concatenate([-PLACES, PLACES.mean(axis=0, keepdims=True)])[random.integers(0, 4, count)]
    return (spots + random.normal(size=(count, WIDTH))).astype(np.float32)


@pytest.fixture(scope="module")
def fitted() -> OODDetector:
    return OODDetector.fit(known_features(1500, 0), known_features(600, 1), [outlier_features(400, 2)])


def test_the_quantile_is_the_share_of_new_objects_that_are_accepted(fitted: OODDetector) -> None:
    new = known_features(1000, 2)
    assert fitted.is_in_distribution(new).mean() == pytest.approx(0.95, abs=0.03)
    assert fitted.with_quantile(0.7).is_in_distribution(new).mean() == pytest.approx(0.7, abs=0.06)


def test_outliers_are_rejected_and_lie_farther_away(fitted: OODDetector) -> None:
    random = np.random.default_rng(3)
    opposite = (-PLACES[random.integers(0, 3, 100)] + random.normal(size=(100, WIDTH))).astype(np.float32)
    between = (PLACES.mean(axis=0) + 0.3 * random.normal(size=(100, WIDTH))).astype(np.float32)
    assert fitted.is_in_distribution(opposite).mean() < 0.05
    assert fitted.is_in_distribution(between).mean() < 0.05
    assert fitted.distance(opposite).mean() > fitted.distance(known_features(100, 4)).mean()


def test_a_detector_comes_back_from_its_file(fitted: OODDetector, tmp_path: Path) -> None:
    used = fitted.with_quantile(0.9)
    used.save(tmp_path / "f.safetensors")
    read = OODDetector.load(tmp_path / "f.safetensors")
    assert (read.quantile, read.limit) == (0.9, used.limit)
    asked = known_features(50, 7)
    assert np.array_equal(read.distance(asked), used.distance(asked))
    used.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "f.safetensors").read_bytes()


def test_a_file_of_release_0_1_0_gives_the_same_answers(tmp_path: Path) -> None:
    old = RELEASE_0_1_0 / "familiarity.safetensors"
    detector, tensors = OODDetector.load(old), load_file(old)
    features = np.random.default_rng(0).normal(
        tensors["net.center"], 1 / tensors["net.scale"], (200, len(tensors["net.center"]))
    )
    hidden = (features - tensors["net.center"]) * tensors["net.scale"] @ tensors["net.hidden_weight"].T
    logit = -(np.maximum(hidden + tensors["net.hidden_bias"], 0) @ tensors["net.out_weight"])
    expected = logit - tensors["net.out_bias"]
    assert detector.distance(features) == pytest.approx(expected, abs=1e-3)
    assert detector.limit == pytest.approx(tensors["distances.exposed"][950])  # accepts 0.95 of new objects
    detector.save(tmp_path / "new.safetensors")
    again = OODDetector.load(tmp_path / "new.safetensors")
    assert np.array_equal(again.distance(features), detector.distance(features))
    assert (tmp_path / "new.safetensors").stat().st_size < old.stat().st_size / 1.5


def test_an_old_file_that_uses_a_dropped_distance_is_refused(tmp_path: Path) -> None:
    old = RELEASE_0_1_0 / "familiarity.safetensors"
    with safe_open(old, framework="numpy") as file:
        settings = json.loads(file.metadata()["clip2-familiarity"])
    metadata = {"clip2-familiarity": json.dumps({**settings, "kind": "knn"})}
    save_file(load_file(old), tmp_path / "f.safetensors", metadata)
    with pytest.raises(InputError, match=r"'knn'.*fit the detector again"):
        OODDetector.load(tmp_path / "f.safetensors")


def test_directions_without_variance_do_no_harm() -> None:
    features = known_features(300, 8)
    flat = np.concatenate([features, np.ones((300, 5), np.float32), features[:, :2]], axis=1)
    outliers = [-flat, np.where(np.arange(flat.shape[1]) < 3, 20, flat).astype(np.float32)]
    detector = OODDetector.fit(flat, flat, outliers)
    assert np.isfinite(detector.distance(flat * 1e3)).all()
    assert detector.is_in_distribution(flat).mean() == pytest.approx(0.95, abs=0.02)


def test_batches_do_not_matter(fitted: OODDetector) -> None:
    asked = known_features(700, 9)
    one_by_one = np.concatenate([fitted.distance(row[None]) for row in asked[::50]])
    assert fitted.distance(asked)[::50] == pytest.approx(one_by_one, abs=1e-3)
    assert fitted.distance(asked[:0]).shape == (0,)


def test_features_that_are_not_finite_are_out_of_distribution(fitted: OODDetector) -> None:
    assert not fitted.is_in_distribution(np.full((1, WIDTH), np.nan, np.float32)).any()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"features": np.zeros((3, WIDTH), np.float32)}, "features: is (3, 24). Fix: give at least 10"),
        ({"features": np.zeros(WIDTH, np.float32)}, "features: is (24,)"),
        (
            {"features": np.full((100, WIDTH), np.nan, np.float32)},
            "features: holds values that are not finite",
        ),
        ({"calibration": np.zeros((20, 3), np.float32)}, "calibration: is (20, 3)"),
        ({"calibration": np.zeros((0, WIDTH), np.float32)}, "calibration: is (0, 24)"),
        ({"quantile": 1.0}, "quantile: is 1.0"),
        ({"outliers": []}, "outliers: is empty"),
        ({"outliers": [np.zeros((20, 3), np.float32)]}, "outliers[0]: is (20, 3)"),
        ({"outliers": [np.zeros((2, WIDTH), np.float32)]}, "outliers[0]: is (2, 24)"),
    ],
)
def test_impossible_features_are_one_line(change: dict, said: str) -> None:
    features, calibration, outliers = known_features(100, 0), known_features(40, 1), [outlier_features(20, 2)]
    given = {"features": features, "calibration": calibration, "outliers": outliers, **change}
    with pytest.raises(InputError) as error:
        OODDetector.fit(**given)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_features_of_another_encoder_are_refused(fitted: OODDetector) -> None:
    with pytest.raises(InputError, match="24 wide"):
        fitted.distance(np.zeros((1, WIDTH + 1), np.float32))


def test_other_files_are_refused(fitted: OODDetector, tmp_path: Path) -> None:
    path = tmp_path / "f.safetensors"
    with pytest.raises(InputError, match="does not exist"):
        OODDetector.load(path)
    path.write_bytes(b"PK")
    with pytest.raises(InputError, match="is not a safetensors file"):
        OODDetector.load(path)
    save_file({"weight": np.zeros(3)}, path)
    with pytest.raises(InputError, match="is not a clip2-ood file"):
        OODDetector.load(path)
    fitted.save(path)
    tensors = load_file(path)
    metadata = {"clip2-ood": '{"quantile": 0.95}'}
    save_file({**tensors, "distances": tensors["distances"][:7].copy()}, path, metadata)
    with pytest.raises(InputError, match=r"distances: is \(7,\), the detector has \(1001,\)"):
        OODDetector.load(path)
    save_file({name: tensors[name] for name in ("distances",)}, path, metadata)
    with pytest.raises(InputError, match=r"head\.center: is missing"):
        OODDetector.load(path)
    save_file(tensors, path, {"clip2-ood": "{}"})
    with pytest.raises(InputError, match="has no readable settings"):
        OODDetector.load(path)


def test_sources_of_outliers_weigh_the_same_whatever_their_size() -> None:
    few = outlier_features(60, 11)
    many = np.tile(np.float32(-4) * np.eye(1, WIDTH, 8, dtype=np.float32), (3000, 1))
    detector = OODDetector.fit(known_features(900, 10), known_features(400, 12), [few, many])
    assert detector.is_in_distribution(outlier_features(200, 13)).mean() < 0.1
    assert detector.is_in_distribution(many).mean() < 0.1


def test_fitting_is_repeatable_and_leaves_the_callers_random_state_alone() -> None:
    features = known_features(300, 14)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    twice = [OODDetector.fit(features, features, [outlier_features(100, 15)]) for _ in range(2)]
    assert torch.equal(torch.rand(3), expected)
    asked = known_features(40, 16)
    assert np.array_equal(twice[0].distance(asked), twice[1].distance(asked))


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
    seen = describe_objects(model, data, rows)
    clouds = [data.cloud(int(row)) for row in rows]
    with_color = model.describe([points for points, _ in clouds], [color for _, color in clouds])
    assert np.array_equal(seen[:3], with_color.features)
    assert np.array_equal(seen[3:], model.describe([points for points, _ in clouds]).features)
    assert not np.array_equal(seen[:3], seen[3:])
    assert describe_objects(small_model(color=False), data, rows).shape == (3, model.encoder.width)


def strange_clouds(count: int, seed: int = 5) -> list[np.ndarray]:
    """Sticks of fifty meters, unlike any training object."""
    random = np.random.default_rng(seed)
    return [(random.normal(size=(200, 3)) * [25, 0.01, 0.01]).astype(np.float32) for _ in range(count)]


@pytest.fixture(scope="module")
def with_detector() -> Clip2Model:
    """A model with a detector that was fitted to balls, boxes and pipes against sticks."""
    model = small_model(color=False)
    sticks = model.describe(strange_clouds(40, seed=6)).features
    rows = (np.arange(160), np.arange(160, 240))
    model.ood_detector = fit_ood_detector(model, shapes(240, 1), *rows, [sticks])
    return model


def test_a_model_labels_outliers_unknown(with_detector: Clip2Model) -> None:
    new = shapes(60, 9)
    known = with_detector.classify([new.cloud(i)[0] for i in range(60)])
    assert known.in_distribution.mean() > 0.85
    strange = with_detector.classify(strange_clouds(5))
    assert not strange.in_distribution.any()
    assert strange.best == (UNKNOWN,) * 5
    assert {label for best in strange.top(1) for label, _ in best} <= set(WORDS)
    assert strange.scores.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-5)
    bare = small_model(color=False).classify(strange_clouds(2))
    assert bare.in_distribution.all()
    assert UNKNOWN not in bare.best


def test_objects_without_a_label_are_left_out_of_the_fit() -> None:
    model, data = small_model(color=False), shapes(200, 1)
    outliers = [model.describe(strange_clouds(40)).features]
    unlabeled = np.arange(120, 160)
    own_texts = data.own_texts.copy()
    own_texts[unlabeled] = -1
    partly = replace(data, own_texts=own_texts)
    held_out = np.arange(160, 200)
    mixed = fit_ood_detector(model, partly, np.arange(160), held_out, outliers)
    alone = fit_ood_detector(model, data, np.arange(120), held_out, outliers)
    assert np.array_equal(mixed.distances, alone.distances)


def test_the_label_unknown_cannot_be_asked_for(with_detector: Clip2Model) -> None:
    with pytest.raises(InputError, match="'unknown' cannot be asked for"):
        with_detector.classify(strange_clouds(1), "ball, Unknown")


def test_the_detector_travels_with_the_checkpoint(with_detector: Clip2Model, tmp_path: Path) -> None:
    save(with_detector, tmp_path / "run", training={"step": 3})
    loaded = clip2.load(tmp_path / "run")
    assert loaded.ood_detector is not None
    assert loaded.ood_detector.limit == with_detector.ood_detector.limit
    assert loaded.classify(strange_clouds(2)).best == (UNKNOWN, UNKNOWN)
    assert read_config(tmp_path / "run").ood is not None


def test_a_checkpoint_of_release_0_1_0_keeps_its_detector(with_detector: Clip2Model, tmp_path: Path) -> None:
    assert (RELEASE_0_1_0 / "familiarity.safetensors").is_file()
    model = clip2.load(RELEASE_0_1_0)
    assert model.ood_detector is not None
    (tmp_path / "familiarity.safetensors").touch()  # of an earlier checkpoint in the same folder
    save(model, tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "config.json",
        "model.safetensors",
        "ood.safetensors",
        "text_bank.npz",
    ]
    clouds = strange_clouds(3)
    assert clip2.load(tmp_path).classify(clouds).best == model.classify(clouds).best


def test_a_detector_can_be_added_later(with_detector: Clip2Model, tmp_path: Path) -> None:
    save(small_model(color=False), tmp_path / "run", training={"step": 3})
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    assert clip2.load(tmp_path / "run").ood_detector is None
    add_ood_detector(tmp_path / "run", with_detector.ood_detector)
    assert clip2.load(tmp_path / "run").classify(strange_clouds(1)).best == (UNKNOWN,)
    assert read_config(tmp_path / "run").training == {"step": 3}
    for name in ("model.safetensors", "text_bank.npz"):
        assert (tmp_path / "run" / name).read_bytes() == before[name]
    narrow = OODDetector.fit(known_features(100, 0), known_features(40, 1), [outlier_features(40, 2)])
    with pytest.raises(InputError, match="ood_detector: is 24 wide, the encoder is 64 wide"):
        add_ood_detector(tmp_path / "run", narrow)


def test_a_damaged_or_missing_detector_is_named(with_detector: Clip2Model, tmp_path: Path) -> None:
    save(with_detector, tmp_path / "run")
    path = tmp_path / "run" / "ood.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"ood\.safetensors.*sha256"):
        clip2.load(tmp_path / "run")
    path.unlink()
    with pytest.raises(InputError, match=r"ood\.safetensors: is missing"):
        clip2.load(tmp_path / "run")
