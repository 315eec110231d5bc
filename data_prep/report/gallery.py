"""Gallery page of a triplet set: metrics, points on images, searchable objects."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.geometry.transforms import transform_points
from data_prep.report import Bar, Card, Measure, Page, Spread
from data_prep.report.counted import counted
from data_prep.report.gallery_images import add_overlays, views_of
from data_prep.report.metrics import RangeMetrics, TripletMetrics
from data_prep.triplets.provenance import Provenance, QualityRecord
from data_prep.triplets.reader import TripletSet
from data_prep.triplets.triplet import Triplet

# With the size limits of cards and overlays, any page stays below 20 MB.
CARDS, OVERLAYS = 360, 10
_OBJECTS_PER_OVERLAY = 40
_WORDS_SHOWN = 40
_BAD_FRAMES_SHOWN = 50
_LONGEST_LINE = 120
_MEASURES = (
    Measure("points", "points", log=True),
    Measure("score", "score"),
    Measure("range", "range", "m", log=True),
    Measure("occluded", "hidden", "%"),
    Measure("views", "views"),
)


def write_gallery(
    triplets: TripletSet, metrics: TripletMetrics, path: str | Path, scan_root: str | Path | None = None
) -> Path:
    """Write the page.

    Args:
        triplets: the set.
        metrics: from :func:`~data_prep.report.metrics.measure_triplets`.
        path: the HTML file.
        scan_root: folder of the scan; default: where it was mined. Overlays need its images; without them they are
            drawn on the crops, and the page says so.

    Raises:
        InputError: a shard cannot be read.
    """
    page = Page(f"Triplets of {triplets.manifest.source}", intro=_intro(triplets, metrics))
    _add_metrics(page, metrics)
    by_word: dict[str, list[tuple[int, str]]] = defaultdict(list)
    by_view: dict[tuple[str, int], list[str]] = defaultdict(list)
    for entry in triplets.iter_entries():
        by_word[entry.texts[0]].append((entry.num_points, entry.key))
        for view in dict.fromkeys(views_of(entry.provenance)):
            by_view[view].append(entry.key)
    card_keys = _take_turns(
        {word: [key for _, key in sorted(objects, reverse=True)] for word, objects in by_word.items()}, CARDS
    )
    names = sorted(by_view)
    overlay_keys = {
        names[i]: [by_view[names[i]][j] for j in _evenly(len(by_view[names[i]]), _OBJECTS_PER_OVERLAY)]
        for i in _evenly(len(names), OVERLAYS)
    }
    chosen = triplets.select({*card_keys, *(key for keys in overlay_keys.values() for key in keys)})
    page.heading("Objects")
    page.paragraph(_how_chosen(len(card_keys), metrics))
    page.explorer([_card(chosen[key]) for key in card_keys], _MEASURES)
    page.heading("Points on images")
    page.paragraph(f"{len(overlay_keys)} of {len(by_view):,} images with objects, spread over the set.")
    add_overlays(page, triplets, overlay_keys, chosen, scan_root)
    return page.write(path)


def range_name(near: float, far: float | None) -> str:
    """``5–10 m``, or ``80 m and more`` without a far end."""
    return f"{near:.0f} m and more" if far is None else f"{near:.0f}–{far:.0f} m"


def _intro(triplets: TripletSet, metrics: TripletMetrics) -> str:
    manifest = triplets.manifest
    totals = manifest.totals
    text = (
        f"{counted(metrics.objects, 'object')} from {counted(totals['frames'], 'frame')}, "
        f"{counted(totals['rejected'], 'detection')} rejected, "
        f"{counted(totals['bad_frames'], 'bad frame')}; {counted(len(manifest.shards), 'shard')}, "
        f"{totals['bytes'] / 1e6:.1f} MB. Written by {manifest.software}."
    )
    if metrics.with_several_views:
        text += f" {metrics.with_several_views:,} objects combine several views."
    if not manifest.finished:
        text += " The set is not finished: run the same command again to continue."
    if manifest.is_ground_truth:
        text += " The 2D boxes are labels, not a detector's."
    return text


def _add_metrics(page: Page, metrics: TripletMetrics) -> None:
    if metrics.words:
        shown = metrics.words[:_WORDS_SHOWN]
        many = (
            f" The {len(shown)} most frequent of {len(metrics.words):,}."
            if len(metrics.words) > len(shown)
            else ""
        )
        page.heading("Labels")
        page.paragraph(
            f"Objects of each label, and the median of their points; a click shows them below.{many}"
        )
        page.bars(
            [
                Bar(row.word, row.objects, f"{row.median_points:,.0f} points", {"word": row.word})
                for row in shown
            ]
        )
    if metrics.objects:
        page.heading("Points per object")
        page.paragraph(
            "By distance from the camera: the median, and the number of objects. The bar spans the middle half of them, the "
            "line 80 %."
        )
        page.spreads([_all_objects(metrics), *map(_spread, metrics.by_range)], "points")
    rejected = [Bar(reason, count) for reason, count in metrics.rejections.items()]
    rejected += [Bar(f"in the file: {why}", count) for why, count in metrics.skipped_detections.items()]
    if rejected:
        page.heading("Rejected detections")
        page.bars(rejected)
    if metrics.bad_frames:
        page.heading("Bad frames")
        page.table(
            ["frame", "why it was skipped"], [list(row) for row in metrics.bad_frames[:_BAD_FRAMES_SHOWN]]
        )
        if len(metrics.bad_frames) > _BAD_FRAMES_SHOWN:
            page.paragraph(f"The first {_BAD_FRAMES_SHOWN} of {len(metrics.bad_frames):,} bad frames.")


def _all_objects(metrics: TripletMetrics) -> Spread:
    points = metrics.points_per_object
    note = f"of {metrics.objects:,}"
    return Spread("all", points[10], points[25], points[50], points[75], points[90], note)


def _spread(row: RangeMetrics) -> Spread:
    p = row.points
    query = {"measure": "range", "from": row.near or None, "to": row.far}
    return Spread(
        range_name(row.near, row.far), p[10], p[25], p[50], p[75], p[90], f"of {row.objects:,}", query
    )


def _how_chosen(cards: int, metrics: TripletMetrics) -> str:
    text = f"{cards} of {metrics.objects:,} objects"
    if cards < metrics.objects:
        text += (
            ", an even selection: labels take turns, and each label's objects range evenly from the most points to the "
            "fewest"
        )
    return (
        f"{text}. Clouds turn with the mouse; ⤢ or Enter enlarges, / searches, arrows go from card to card."
    )


def _take_turns(keys: Mapping[str, Sequence[str]], count: int) -> list[str]:
    """``count`` keys: labels take turns, each spreads its choice evenly; grouped by label, frequent ones first."""
    words = sorted(keys, key=lambda word: -len(keys[word]))
    turns = sorted((turn, place) for place, word in enumerate(words) for turn in range(len(keys[word])))[
        :count
    ]
    quota = Counter(place for _, place in turns)
    return [keys[word][i] for place, word in enumerate(words) for i in _evenly(len(keys[word]), quota[place])]


def _evenly(count: int, wanted: int) -> list[int]:
    return sorted({round(x) for x in np.linspace(0, count - 1, min(count, wanted))}) if count else []


def _card(triplet: Triplet) -> Card:
    crops = triplet.crops
    return Card(
        title=triplet.texts[0],
        lines=_facts(triplet),
        image=crops[0] if crops else None,
        points=triplet.points,
        colors=triplet.colors,
        seen_from=_to_camera(triplet.provenance),
        more_images=crops[1:],
        key=triplet.key,
        words=triplet.texts,
        measures=_measures(triplet),
    )


def _to_camera(provenance: Provenance) -> NDArray[np.float64] | None:
    """Direction from a mined object to the camera of its crop, so that cloud and crop show the same side."""
    if provenance.camera is None or provenance.T_world_points is None:
        return None
    eye = provenance.camera.camera().T_points_cam[None, :3, 3]
    return transform_points(np.array(provenance.T_world_points), eye)[0] - np.array(provenance.center)


def _measures(triplet: Triplet) -> dict[str, float]:
    record = triplet.provenance
    quality = record.quality or QualityRecord()
    values = {
        "points": quality.num_points or len(triplet.points),
        "score": record.score,
        "range": quality.median_range,
        "occluded": None if quality.occluded is None else 100 * quality.occluded,
        "views": len(triplet.views) + 1,
    }
    return {name: value for name, value in values.items() if value is not None}


def _facts(triplet: Triplet) -> list[str]:
    values = _measures(triplet)
    points = f"{len(triplet.points):,} points"
    if values["points"] > len(triplet.points):
        points += f" of {values['points']:,}"
    if "range" in values:
        points += f" at {values['range']:.1f} m"
    facts = [points]
    if "score" in values:
        facts.append(f"score {values['score']:.2f}")
    if triplet.views:
        facts.append(f"{len(triplet.views) + 1} views")
    if len(triplet.texts) > 1:
        also = ", ".join(triplet.texts[1:])
        facts.append("also " + (also if len(also) <= _LONGEST_LINE else also[:_LONGEST_LINE] + " …"))
    facts.append(triplet.key)
    return facts
