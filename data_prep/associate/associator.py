"""Association of observations over frames and cameras."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from data_prep.associate.affinity import Similarity, affinity, common_drift, has_left, shift
from data_prep.associate.config import AssociationConfig
from data_prep.associate.measured import Measured
from data_prep.associate.observation import Observation
from data_prep.associate.track import Track

SEEN_TOO_SELDOM = "seen-too-seldom"


class Associator:
    """Merges the observations of single detections, frame by frame, into one observation per object.

    Two detections of one image are never one object. The result depends neither on the order of detections within a
    frame nor on chance. ``config`` bounds the memory.

    >>> from data_prep.associate import Associator
    >>> follow = Associator()
    >>> follow.push([]), follow.close()
    ([], [])

    Args:
        config: settings.
        max_points: a merged cloud keeps at most this many points.
        similarity: compares two measured observations, 0..1, in place of their colors.

    Attributes:
        left_out: reason → detections that went into no object, since this was last read by :meth:`take_left_out`.
    """

    def __init__(
        self,
        config: AssociationConfig | None = None,
        *,
        max_points: int = 16384,
        similarity: Similarity | None = None,
    ) -> None:
        self.config = config or AssociationConfig()
        self._max_points, self._similarity = max_points, similarity
        self._left_out: dict[str, int] = {}
        self._tracks: list[Track] = []
        self._begun = 0
        self._now = 0.0
        self._told: float | None = None  # the last time that a frame told
        self._pose: NDArray[np.float64] | None = None
        self._posed = False  # it has changed: the sensor's motion is known
        self._drift = np.zeros(3)

    @property
    def open(self) -> int:
        """Objects being followed."""
        return len(self._tracks)

    def push(self, observations: Sequence[Observation]) -> list[Observation]:
        """Add the observations of the next frame.

        Args:
            observations: of single detections (:func:`data_prep.associate.observation.observe`), all of one frame;
                none for a frame without objects.

        Returns:
            The objects that are complete, merged or single, in the order they were first seen.
        """
        done: list[Observation] = []
        given = observations[0].timestamp if observations else None
        # A frame without objects has no known time; the next one may have.
        now = self._now + self.config.frame_time if given is None else float(given)
        if given is not None and self._told is not None and given < self._told - 1e-9:
            done += self.close()  # a clock that goes backwards is another recording
        self._told = self._told if given is None else float(given)
        self._now = now
        if observations:
            T = np.asarray(observations[0].T_world_points, np.float64)
            self._posed = self._posed or (
                self._pose is not None and not np.allclose(T, self._pose, atol=1e-6)
            )
            self._pose = T
        done += self._finish(track for track in self._tracks if self._is_gone(track))
        observed = [Measured.of(observation, now) for observation in observations]
        # Sorted by content, so that the order in the detection file has no effect.
        observed.sort(key=lambda s: (s.view, s.observation.box.tolist(), s.label, s.key))
        if not self._posed:
            self._find_drift(observed)
        for _, group in groupby(observed, key=lambda seen: seen.view):
            self._take_view(list(group))
        full = [track for track in self._tracks if len(track) >= self.config.max_observations]
        kept = [track for track in self._tracks if len(track) < self.config.max_observations]
        over = len(kept) - self.config.max_open
        if over > 0:
            full += sorted(kept, key=lambda track: (track.last.time, track.number))[:over]
        done += self._finish(full)
        return done

    def close(self) -> list[Observation]:
        """Return all objects still followed, and reset."""
        done = self._finish(self._tracks)
        self._begun, self._now, self._told = 0, 0.0, None
        self._pose, self._posed, self._drift = None, False, np.zeros(3)
        return done

    def take_left_out(self) -> dict[str, int]:
        """Reason → detections left out since the last call."""
        taken, self._left_out = self._left_out, {}
        return taken

    def _is_gone(self, track: Track) -> bool:
        # A posed sensor comes back to still objects; a moving object may be anywhere.
        remembered = self._posed and not track.moves
        return not remembered and self._now - track.last.time > self.config.max_gap + 1e-9

    def _find_drift(self, observed: list[Measured]) -> None:
        unknown = [track for track in self._tracks if track.velocity is None]
        known = [track.velocity for track in self._tracks if track.velocity is not None]
        if known:
            self._drift = np.median(known, axis=0)
        latest = max((track.last.time for track in unknown), default=self._now)
        recent = [track for track in unknown if track.last.time == latest]
        if self._now - latest > 0:
            self._drift = common_drift(recent, observed, self._now - latest, self._drift)

    def _take_view(self, observed: list[Measured]) -> None:
        """Assign the detections of one image to objects, each to at most one, with the best sum of log affinities."""
        scores = np.zeros((len(self._tracks), len(observed)))
        for row, column in self._candidates(observed):
            track, seen = self._tracks[row], observed[column]
            dt = seen.time - track.last.time
            scores[row, column] = affinity(
                track, seen, dt, self._drift, self.config.max_gap, self._posed, self._similarity
            )
        possible = scores >= self.config.min_score
        # A pair gains what it is better than the worst that is allowed, so that one good pair beats two poor ones.
        gain = np.log(np.where(possible, scores, 1) / self.config.min_score)
        rows, columns = linear_sum_assignment(np.where(possible, -gain, 0.0))
        taken = set()
        for row, column in zip(rows, columns, strict=True):
            if possible[row, column]:
                track, seen = self._tracks[row], observed[column]
                if not self._posed and has_left(track, seen.time - track.last.time, self._drift):
                    track.mark_moving()
                track.add(seen, self.config.views, self._max_points)
                taken.add(column)
        for column, seen in enumerate(observed):
            if column not in taken:
                self._tracks.append(Track.begin(self._begun, seen, self.config.views, self._max_points))
                self._begun += 1

    def _candidates(self, observed: list[Measured]) -> Iterator[tuple[int, int]]:
        """Pairs near enough to be looked at; no object twice in one image."""
        if not self._tracks:
            return
        centers = np.array([seen.center for seen in observed])
        sizes = np.array([seen.diagonal for seen in observed])
        for row, track in enumerate(self._tracks):
            last = track.last
            if last.time == observed[0].time and last.view == observed[0].view:
                continue
            dt = self._now - last.time
            moved = shift(track, min(dt, self.config.max_gap), self._drift)
            grown = max(track.sizes[-5:]) + sizes
            # Where it was, or where it has gone; both limits lie far outside of what can score.
            stood = np.linalg.norm(centers - last.center, axis=1)
            went = np.linalg.norm(centers - (last.center + moved), axis=1)
            reach = grown * (1 + 4 * min(dt, self.config.max_gap))
            extent = 0.0 if track.moves else float(np.linalg.norm(np.ptp(track.standing, axis=0)))
            for column in np.flatnonzero((stood <= grown + extent) | (went <= reach)):
                yield row, int(column)

    def _finish(self, tracks: Iterator[Track] | Sequence[Track]) -> list[Observation]:
        chosen = sorted(tracks, key=lambda track: track.number)
        if not chosen:
            return []
        gone = {track.number for track in chosen}
        self._tracks = [track for track in self._tracks if track.number not in gone]
        done = []
        for track in chosen:
            if len(track) < self.config.min_observations:
                self._left_out[SEEN_TOO_SELDOM] = self._left_out.get(SEEN_TOO_SELDOM, 0) + len(track)
            else:
                done.append(track.merged(self._max_points))
        return done
