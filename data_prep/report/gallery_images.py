"""Mined objects drawn on their source images, for the gallery."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.errors import InputError
from data_prep.geometry import Camera, invert
from data_prep.geometry.transforms import transform_points
from data_prep.report import Card, Page
from data_prep.report.overlay import OverlayObject, draw_zoom
from data_prep.scans import Scan, open_scan
from data_prep.triplets.provenance import Provenance, ViewRecord
from data_prep.triplets.reader import TripletSet
from data_prep.triplets.triplet import Triplet

_CROP_OVERLAYS = 12


def add_overlays(
    page: Page,
    triplets: TripletSet,
    views: Mapping[tuple[str, int], Sequence[str]],
    chosen: Mapping[str, Triplet],
    scan_root: str | Path | None,
) -> None:
    """Add the images to a page; without the scan, crops with points on them.

    Args:
        page: the page to extend.
        triplets: the set.
        views: frame id and index of the view → keys of its triplets.
        chosen: those triplets.
        scan_root: folder of the scan; default: where it was mined.
    """
    if not views:
        page.paragraph("These triplets were not mined from images, so there is nothing to draw on.")
        return
    try:
        scan = _open_scan(triplets, scan_root)
    except InputError as error:
        page.paragraph(
            f"The images of the scan cannot be opened ({error}), so objects are drawn on their own crops "
            "only and the surroundings cannot be judged. Name the scan's folder with --scan-root."
        )
        drawn = [key for keys in views.values() for key in keys if chosen[key].crop is not None]
        page.gallery([_crop_card(chosen[key]) for key in drawn[:_CROP_OVERLAYS]])
        return
    page.paragraph(
        "Every point of the frame on its image, yellow near and blue far on a scale of what is in view; mined objects "
        "in green to blue with their box. With a right calibration and pose, steps in depth run along outlines in the "
        "image: go near poles, roofs and the sides of close objects."
    )
    position = {id: index for index, id in enumerate(scan.frame_ids())}
    for (frame_id, view_index), keys in views.items():
        if frame_id not in position:
            page.paragraph(f"Frame {frame_id} is not drawn: the scan no longer has it.")
            continue
        try:
            frame = scan[position[frame_id]]
        except InputError as error:
            page.paragraph(f"Frame {frame_id} is not drawn: {error}")
            continue
        view = frame.views[view_index]
        objects = [_overlay_object(chosen[key], frame_id, view_index) for key in keys]
        caption = f"{view.name}: {len(objects)} objects, {len(frame.points):,} points"
        page.overlay(view.image, view.camera, frame.points, objects, caption)


def frame_points(triplet: Triplet) -> NDArray[np.float64]:
    """(n, 3) points of a mined triplet in the axes of its frame."""
    return _in_frame(triplet.points, triplet.provenance)


def _in_frame(points: NDArray[np.float32], record: ViewRecord) -> NDArray[np.float64]:
    world = points.astype(np.float64) + np.array(record.center)
    return transform_points(invert(np.array(record.T_world_points)), world)


def views_of(provenance: Provenance) -> list[tuple[str, int]]:
    """Frame id and view index of every view that is kept, best first; none for objects without an image."""
    records = provenance.views or (provenance,)
    return [(record.frame, record.view_index or 0) for record in records if record.camera is not None]


def _open_scan(triplets: TripletSet, scan_root: str | Path | None) -> Scan:
    manifest = triplets.manifest
    root = scan_root if scan_root is not None else manifest.root
    if root is None:
        raise InputError("names no folder of a scan", source=triplets.path / "manifest.json", field="root")
    return open_scan(manifest.source, root, **manifest.options.get("scan", {}))


def _overlay_object(triplet: Triplet, frame_id: str, view_index: int) -> OverlayObject:
    """The object as that view saw it."""
    record: ViewRecord = triplet.provenance
    points = triplet.points
    if triplet.provenance.views:
        number = views_of(triplet.provenance).index((frame_id, view_index))
        record = triplet.provenance.views[number]
        if number > 0:
            seen = triplet.views[number - 1].points
            # A view whose own points were not kept is shown by its box.
            points = np.zeros((0, 3), np.float32) if seen is None else seen
        else:  # the cloud of a still object is the union of all views, around a center of its own
            record = replace(record, center=triplet.provenance.center)
    # A score of 1 is a label's, and not shown.
    caption = triplet.texts[0] if record.score in (1, None) else f"{triplet.texts[0]} {record.score:.2f}"
    return OverlayObject(_in_frame(points, record), np.array(record.box), caption, triplet.key)


def _crop_card(triplet: Triplet) -> Card:
    """The object's points by depth on its crop, for when the scan is missing."""
    assert triplet.crop is not None
    record = triplet.provenance
    assert record.crop is not None
    assert record.camera is not None
    x0, y0, x1, y1 = record.crop
    camera = record.camera.camera()
    K = camera.K.copy()
    K[:2, 2] -= (x0, y0)
    cut = Camera(K, x1 - x0, y1 - y0, camera.T_points_cam, camera.distortion)
    image = draw_zoom(
        triplet.crop, cut, frame_points(triplet), np.array([0, 0, x1 - x0 - 1, y1 - y0 - 1]), context=0
    )
    return Card(title=triplet.texts[0], lines=[triplet.key], image=image)
