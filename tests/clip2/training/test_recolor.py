"""Objects shown in other colors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from clip2.preprocessing import Preprocessing
from clip2.training import TrainingSet, pack
from clip2.training.augmentation import recolor
from clip2.training.batches import BatchMaker
from clip2.training.config import AugmentationConfig


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_share_and_range() -> None:
    colors = torch.rand(400, 20, 3, generator=generator())
    new, changed = recolor(colors, 0.3, generator(1))
    assert 0.2 < changed.float().mean() < 0.4
    assert torch.equal(new[~changed], colors[~changed])
    assert (new[changed] != colors[changed]).any(dim=(1, 2)).all()
    assert new.min() >= 0
    assert new.max() <= 1


def test_gray_stays_gray_when_hues_turn_and_takes_any_color_when_painted() -> None:
    gray = torch.full((300, 5, 3), 0.4)
    new, _ = recolor(gray, 1.0, generator(2))
    still_gray = (new.amax(2) - new.amin(2)).amax(1) < 1e-5
    assert 0.3 < still_gray.float().mean() < 0.7
    assert new[~still_gray].std() > 0.1


def test_shading_survives_the_paint() -> None:
    shade = torch.linspace(0.1, 0.6, 20)[None, :, None].expand(200, 20, 3)
    new, _ = recolor(shade, 1.0, generator(3))
    steps = new.sum(2).diff(dim=1)
    assert (steps >= -1e-5).all()


@pytest.fixture
def objects() -> TrainingSet:
    rng = np.random.default_rng(0)
    clouds = [
        (rng.random((50, 3)).astype(np.float32), rng.integers(0, 255, (50, 3)).astype(np.uint8))
        for _ in range(40)
    ]
    vectors = np.eye(2, 8, dtype=np.float32)
    images = np.tile(vectors[:1], (40, 1)).astype(np.float16)
    return pack(clouds, [[i % 2] for i in range(40)], ["a", "b"], vectors, "X/y", images, np.ones(40, bool))


def test_recolored_objects_keep_their_words_and_lose_their_pictures(objects: TrainingSet) -> None:
    def targets(share: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        config = AugmentationConfig(recolor=share, color_drop=0)
        maker = BatchMaker(objects, Preprocessing(num_points=16), config, torch.device("cpu"))
        clouds, wanted = maker.make(np.arange(40), seed=5)
        assert wanted.image_present is not None
        assert clouds.features is not None
        return wanted.image_present, wanted.text_ids, clouds.features

    none, some, every = targets(0), targets(0.5), targets(1)
    assert none[0].all()
    assert 0 < some[0].sum() < 40
    assert not every[0].any()
    assert (some[1] >= 0).all()
    assert not torch.equal(some[2], none[2])


def test_the_told_size_follows_the_cloud_not_its_place(objects: TrainingSet) -> None:
    prepared = Preprocessing(num_points=64, size=True)  # all of the 50 points
    cloud = objects.cloud(0)[0]
    radii = prepared([cloud, cloud * 2, cloud + 5]).radii
    assert radii is not None
    assert float(radii[1]) == pytest.approx(2 * float(radii[0]), rel=1e-3)
    assert float(radii[2]) == pytest.approx(float(radii[0]), rel=1e-3)
    assert Preprocessing(num_points=16)([cloud]).radii is None
