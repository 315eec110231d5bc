"""Training batches: sampled, augmented clouds and their target vectors."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from clip2.objectives import Targets
from clip2.preprocessing import PreparedClouds, Preprocessing
from clip2.training.augmentation import cut, disturb, draw_points, drop_color, recolor, rescale, rotate
from clip2.training.clouds import Clouds, CloudTensors
from clip2.training.config import AugmentationConfig
from clip2.training.dataset import TrainingSet

# Points are kept on the GPU if they fill at most this share of its free memory.
_SHARE_OF_GPU_MEMORY = 0.25


class BatchMaker:
    """Makes batches from a training set, all objects of a batch at once.

    Args:
        data: the training set.
        preprocessing: preprocessing of the trained model.
        augmentation: random changes.
        device: device of the batches.
    """

    def __init__(
        self,
        data: TrainingSet,
        preprocessing: Preprocessing,
        augmentation: AugmentationConfig,
        device: torch.device,
    ) -> None:
        self.preprocessing, self.augmentation, self.device = preprocessing, augmentation, device
        home = torch.device("cpu")
        streamed = data.clouds.home == "shards"
        if (
            device.type == "cuda"
            and not streamed
            and data.clouds.nbytes < _SHARE_OF_GPU_MEMORY * _free_bytes(device)
        ):
            home = device
        self.home = home
        self._stored = data.clouds
        self.clouds = None if streamed else CloudTensors(data.clouds, home)
        self.has_colors = preprocessing.color and data.clouds.has_colors
        self.has_color = torch.from_numpy(data.has_color).to(home)
        self.texts = torch.from_numpy(data.text_vectors).to(device)
        self.own_texts = torch.from_numpy(data.own_texts).to(home)
        self.images = None if data.images is None else torch.from_numpy(data.images).to(home)
        self.image_present = torch.from_numpy(data.image_present).to(home)
        taught = data.point_targets
        self.point_targets = None if taught is None else torch.from_numpy(taught).to(home)
        self._generator = torch.Generator(device=home)

    def make(
        self, objects: NDArray[np.int64], seed: int, clouds: Clouds | None = None
    ) -> tuple[PreparedClouds, Targets]:
        """Batch of the given objects; the same ``seed`` gives the same batch.

        Args:
            objects: (B,) rows of the set.
            seed: seed of all random draws.
            clouds: their B clouds, if they were read already; None: take them from the set.
        """
        random = self._generator.manual_seed(seed)
        chosen = torch.from_numpy(objects).to(self.home)
        if self.clouds is not None:
            source, rows = self.clouds, chosen
        else:
            source = CloudTensors(self._stored.in_memory(objects) if clouds is None else clouds, self.home)
            rows = torch.arange(len(objects), device=self.home)
        prepared, recolored = self._clouds(chosen, source, rows, random)
        return prepared.to(self.device), self._targets(chosen, recolored, random)

    def _clouds(
        self, chosen: torch.Tensor, source: CloudTensors, rows: torch.Tensor, random: torch.Generator
    ) -> tuple[PreparedClouds, torch.Tensor | None]:
        """The clouds, which are ``rows`` of ``source``, and a (B,) mask of those whose colors no longer match their crops."""
        config, count = self.augmentation, self.preprocessing.num_points
        place, lengths = draw_points(source.count[rows], count, config.point_dropout, random)
        points, colors = source.draw(rows, place, self.has_colors)
        if colors is None and self.has_colors:  # this batch has none by chance
            colors = torch.zeros_like(points)
        if config.cut:
            left, lengths = cut(points, lengths, config.cut, random)
            spread = left[:, :, None].expand_as(points)
            points = points.gather(1, spread)
            colors = None if colors is None else colors.gather(1, spread)
        points, radii = self.preprocessing.normalize(rotate(points, config, random), lengths)
        points = disturb(points, config, random)
        known = rescale(radii, config, random) if self.preprocessing.size else None
        if not self.preprocessing.color:
            return PreparedClouds(points, lengths, None, None, known), None
        if colors is None:
            absent = torch.zeros(len(chosen), dtype=torch.bool, device=self.home)
            return PreparedClouds(points, lengths, torch.zeros_like(points), absent, known), None
        present = drop_color(self.has_color[chosen], config.color_drop, random)
        recolored = None
        if config.recolor:
            colors, changed = recolor(colors, config.recolor, random)
            recolored = changed & present
        return PreparedClouds(points, lengths, colors, present, known), recolored

    def _targets(
        self, chosen: torch.Tensor, recolored: torch.Tensor | None, random: torch.Generator
    ) -> Targets:
        own = self.own_texts[chosen]
        counts = (own >= 0).sum(1)
        pick = (torch.rand(len(own), generator=random, device=self.home) * counts).long()
        text_ids = own.gather(1, pick[:, None])[:, 0]
        images = None if self.images is None else self.images[chosen].float().to(self.device)
        present = None
        if self.images is not None:
            shown = self.image_present[chosen]
            present = (shown if recolored is None else shown & ~recolored).to(self.device)
        taught = None
        if self.point_targets is not None:
            taught = self.point_targets[chosen].float()
            if recolored is not None:  # the teacher saw the true color
                taught = taught * ~recolored[:, None]
            taught = taught.to(self.device)
        return Targets(self.texts, text_ids.to(self.device), own.to(self.device), images, present, taught)


def _free_bytes(device: torch.device) -> int:
    return torch.cuda.mem_get_info(device)[0]
