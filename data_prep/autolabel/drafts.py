"""Drafts of labeled frames: detections grouped by object, before and after their boxes are fitted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from data_prep.associate import Observation
from data_prep.autolabel.formats import LabelFormat
from data_prep.autolabel.labels import ImageDetection, Label3D, LabeledFrame
from data_prep.autolabel.tracks import Tracks, without_pictures
from data_prep.geometry.box_completion import CompletedBox, SeenObject
from data_prep.labels import normalize_label

# What a box belongs to: a detection; an object in a frame; an object that stands still, in all frames.
BoxKey = tuple[str, int, int] | tuple[str, int] | int


@dataclass(frozen=True, eq=False)
class Draft:
    """A frame with its objects.

    Attributes:
        id, position: of the frame.
        objects: key → its detections in this frame, one per image.
        names: key → label.
        tracks: None: objects are not followed.
    """

    id: str
    position: int
    objects: Mapping[BoxKey, Sequence[Observation]]
    names: Mapping[BoxKey, str]
    tracks: Tracks | None

    @classmethod
    def of(
        cls,
        id: str,
        position: int,
        seen: Sequence[Observation],
        tracks: Tracks | None,
        writer: LabelFormat,
        unknown: Counter[str],
    ) -> Draft:
        """Group the detections of a frame; labels that the format does not know are counted and left out."""
        objects: dict[BoxKey, list[Observation]] = defaultdict(list)
        names: dict[BoxKey, str] = {}
        for one in seen:
            track = None if tracks is None else tracks.objects.get(one.place)
            if tracks is not None and track is None:
                continue  # seen too seldom
            name = normalize_label(one.texts[0] if track is None else track.label)
            if writer.class_of(name) is None:
                unknown[name] += 1
                continue
            key: BoxKey = one.place if track is None else (id, track.number)
            if track is not None and tracks is not None and tracks.posed and not track.moving:
                key = track.number
            objects[key].append(one)
            names[key] = name
        return cls(id, position, dict(objects), names, tracks)

    def to_fit(self) -> dict[BoxKey, SeenObject]:
        """Key → object to fit a box to. One that stands still is fitted once, in its best frame, to all its points."""
        requests = {}
        for key, group in self.objects.items():
            if isinstance(key, int):
                assert self.tracks is not None
                track = self.tracks.objects[group[0].place]
                found = [one for one in group if one.place == track.best]
                if not found:
                    continue
                best, points = found[0], track.points
            else:
                best = max(group, key=lambda one: (len(one.points), one.key))
                points = np.concatenate([one.points.astype(np.float64) + one.center for one in group])
            assert points is not None
            requests[key] = SeenObject(
                points=points,
                label=self.names[key],
                box_2d=best.box,
                camera=best.camera,
                T_world_points=best.T_world_points,
            )
        return requests

    def light(self) -> Draft:
        """The draft without points and pictures."""
        objects = {
            key: [replace(without_pictures(one), points=one.points[:0]) for one in group]
            for key, group in self.objects.items()
        }
        return replace(self, objects=objects)

    def labeled(self, boxes: Mapping[BoxKey, CompletedBox]) -> LabeledFrame:
        """The frame with its boxes."""
        groups = list(self.objects.values())
        labels = [self._label(key, group, boxes[key]) for key, group in self.objects.items()]
        return LabeledFrame(
            self.id,
            self.position,
            tuple(labels),
            groups[0][0].timestamp if groups else None,
            groups[0][0].T_world_points if groups else None,
            {one.view_index: one.camera for group in groups for one in group},
        )

    def _label(self, key: BoxKey, group: Sequence[Observation], box: CompletedBox) -> Label3D:
        track = None if self.tracks is None else self.tracks.objects[group[0].place]
        moving = track.moving if track is not None and self.tracks is not None and self.tracks.posed else None
        return Label3D(
            label=self.names[key],
            score=max(one.score for one in group),
            track=None if track is None else track.number,
            box=box.amodal,
            visible=box.visible,
            quality=box.quality,
            moving=moving,
            velocity=np.zeros(3) if moving is False else None,
            detections=tuple(
                ImageDetection(
                    one.view,
                    one.view_index,
                    one.box,
                    one.score,
                    one.quality.occluded,
                    one.quality.num_points,
                )
                for one in group
            ),
        )
