from dataclasses import replace

import numpy as np
import pytest

from clip2.recognition import fuse_frames, propose_objects, propose_with_masks
from clip2.recognition.proposals import Proposals
from data_prep import Camera, CocoDetections, Detections2D, Frame, InputError, open_scan
from data_prep.detect.coco_format import save_coco

NOTHING = np.zeros((120, 160), bool)


@pytest.fixture(scope="module")
def table():
    """A frame of a synthetic table top, its world points, its exact instances and masks."""
    scan = open_scan("procedural", "tabletop", frames=1, seed=5, image_size=(160, 120))
    frame = scan[0]
    return frame, frame.world_points(), scan.ground_truth(0).instances, scan.detections(0)


@pytest.fixture(scope="module")
def room():
    """Four frames of a synthetic room with exact masks, the cloud fused from them, and what masks alone find in it."""
    scan = open_scan("procedural", "room", frames=4, seed=2, image_size=(160, 120))
    frames = [(scan[i], scan.detections(i)) for i in range(4)]
    world = fuse_frames(frame for frame, _ in frames).world_points()
    return frames, world, propose_with_masks(world, frames)


def iou(a, b) -> float:
    return len(np.intersect1d(a, b)) / len(np.union1d(a, b))


def objects_of(truth, at_least=40) -> list:
    ids, counts = np.unique(truth[truth >= 0], return_counts=True)
    return [np.flatnonzero(truth == i) for i in ids[counts >= at_least]]


def found_of(found, truth) -> int:
    return sum(
        any(iou(thing, index) >= 0.5 for index in found.objects().indices) for thing in objects_of(truth)
    )


def masks(*drawn, scores=None, size=(160, 120)) -> Detections2D:
    """Detections around drawn masks."""
    boxes = []
    for mask in drawn:
        rows, columns = np.nonzero(mask)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else (0, 0, *size)
        boxes.append(box)
    score = np.ones(len(drawn)) if scores is None else np.array(scores)
    return Detections2D(np.array(boxes), score, ("object",) * len(drawn), masks=np.stack(drawn))


def test_masks_find_what_geometry_alone_does_not(table):
    frame, world, truth, detections = table
    geometry = propose_objects(world, "room", frame.T_world_points[:3, 3])
    found = propose_with_masks(world, [(frame, detections)], geometry)
    assert found_of(found, truth) > found_of(geometry, truth)
    assert found_of(found, truth) >= 0.9 * len(objects_of(truth))
    everything = np.concatenate(found.indices)
    assert len(everything) == len(np.unique(everything))


def test_without_masks_geometry_stays_as_it_is(table):
    frame, world, _, _ = table
    geometry = propose_objects(world, "room", frame.T_world_points[:3, 3], frame.colors).distinct()
    same = propose_with_masks(world, [(frame, [Detections2D.empty()])], geometry)
    assert [index.tolist() for index in same.indices] == [index.tolist() for index in geometry.indices]
    assert same.background == geometry.background


def test_an_object_seen_by_all_views_is_one(room):
    frames, _, found = room
    seen = {int(i) for _, views in frames for i in views[0].attributes["track_id"]}
    masks_given = sum(len(views[0]) for _, views in frames)
    assert masks_given > 2 * len(seen)
    assert 0.8 * len(seen) <= len(found) <= 1.1 * len(seen)


def test_a_mask_that_one_view_of_many_has_is_less_of_an_object(room):
    frames, world, true = room
    first, views = frames[0]
    nothing = NOTHING.copy()
    nothing[10:50, 20:60] = True
    with_false = [(first, [masks(*views[0].masks, nothing)]), *frames[1:]]
    more = propose_with_masks(world, with_false)
    assert np.median(true.objectness) > 0.9
    # Where the false mask lies, objects may have won; what is left of it is worth less than half.
    new = [
        i for i, index in enumerate(more.indices) if max(iou(index, other) for other in true.indices) < 0.3
    ]
    assert all(more.objectness[i] < 0.5 for i in new)


def test_a_mask_of_the_wall_is_no_object_and_a_region_mends_a_mask_that_is_too_small():
    rows, columns = np.mgrid[:120, :160]
    camera = Camera(np.array([[100.0, 0, 0], [0, 100, 0], [0, 0, 1]]), 160, 120)
    depth = np.where((rows > 30) & (rows < 90) & (columns > 40) & (columns < 80), 0.9, 1.5)
    frame = Frame.from_depth("0", camera, np.zeros((120, 160, 3), np.uint8), depth)
    thing = (depth < 1).reshape(-1)
    geometry = Proposals.join([np.flatnonzero(thing), np.flatnonzero(~thing)], [0.6, 0.0], [None, "wall"])
    small = thing.reshape(depth.shape) & (rows < 82)
    found = propose_with_masks(
        frame.world_points(),
        [(frame, [masks(small, ~thing.reshape(depth.shape), scores=[0.7, 0.9])])],
        geometry,
    )
    objects = found.objects()
    assert len(objects) == 1
    assert iou(objects.indices[0], np.flatnonzero(thing)) > 0.95
    # Both say that it is an object.
    assert objects.objectness[0] == pytest.approx(1 - 0.3 * 0.4)


def test_masks_that_overlap_share_the_points_and_empty_ones_are_nothing(table):
    frame, world, _, detections = table
    largest = max(detections[0].masks, key=np.sum)
    half = largest & (np.arange(160) < np.nonzero(largest)[1].mean())
    twice = propose_with_masks(world, [(frame, [masks(largest, largest, NOTHING)])])
    assert len(twice) == 1
    both = propose_with_masks(world, [(frame, [masks(largest, half)])])
    assert len(np.unique(np.concatenate(both.indices))) == sum(map(len, both.indices))
    assert len(propose_with_masks(world, [(frame, [masks(NOTHING)])])) == 0
    assert len(propose_with_masks(world, [])) == 0


def test_boxes_outside_the_image_hold_nothing(table):
    frame, world, _, detections = table
    box = detections[0].boxes[detections[0].attributes["pixels"].argmax()]

    def lifted(*boxes):
        scores = np.ones(len(boxes))
        drawn = Detections2D(np.float32(boxes), scores, ("x",) * len(boxes))
        return [index.tolist() for index in propose_with_masks(world, [(frame, [drawn])]).indices]

    alone = lifted(box)
    assert len(alone) == 1
    assert lifted(box, (200, 10, 250, 60), (-90, -90, -10, -10)) == alone


def test_bad_input_is_named(table):
    frame, world, _, detections = table
    with pytest.raises(InputError, match="masks: given for 2 images, the frame has 1"):
        propose_with_masks(world, [(frame, [*detections, *detections])])
    with pytest.raises(InputError, match="masks: is 80x60, the image 160x120"):
        propose_with_masks(world, [(frame, [masks(np.ones((60, 80), bool))])])
    with pytest.raises(InputError, match="geometry: holds points that the scan has not"):
        propose_with_masks(world, [(frame, detections)], Proposals.join([np.array([len(world)])], [1.0]))
    with pytest.raises(InputError, match="must be finite"):
        propose_with_masks(world * np.nan, [(frame, detections)])


def test_a_scan_of_another_place_gets_no_objects(room):
    frames, world, _ = room
    assert len(propose_with_masks(world + [0, 0, 2.0], frames[:1])) == 0


def test_a_coco_file_of_masks_on_real_frames(real_data, tmp_path):
    scan = open_scan("rgbd", real_data / "rgbd/7scenes_redkitchen")
    boxes = CocoDetections.load(real_data / "detections/7scenes_fastestdet.json", 0.5)
    frame = scan[0]
    view = frame.views[0]
    size = view.camera.width, view.camera.height
    found = boxes.for_image(view.name, *size)
    # Masks as a segmenter would draw them: what lies near the middle depth of a box.
    drawn = np.zeros((len(found), *frame.depth.shape), bool)
    for mask, (x0, y0, x1, y1) in zip(drawn, found.boxes.astype(int), strict=True):
        inside = frame.depth[y0:y1, x0:x1]
        mask[y0:y1, x0:x1] = (inside > 0) & (np.abs(inside - np.median(inside[inside > 0])) < 0.1)
    labeled = replace(found, masks=drawn, labels=("object",) * len(found), attributes={})
    save_coco(tmp_path / "masks.json", {view.name: (*size, labeled)}, info={"description": "cut by depth"})
    read = CocoDetections.load(tmp_path / "masks.json").for_image(view.name, *size)
    assert np.array_equal(read.masks, drawn)
    world = frame.world_points()
    geometry = propose_objects(world, "room", frame.T_world_points[:3, 3], frame.colors)
    both = propose_with_masks(world, [(frame, [read])], geometry)
    pixels = np.flatnonzero(frame.depth.reshape(-1) > 0)
    for mask in drawn:
        lit = np.flatnonzero(mask.reshape(-1)[pixels])
        assert max(iou(lit, index) for index in both.objects().indices) > 0.35
