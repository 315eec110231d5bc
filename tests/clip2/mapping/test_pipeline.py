import threading

import numpy as np
import pytest
import torch
from support.box_world import sweep
from support.recognition_stand_ins import tiny_bank, tiny_model

import clip2
from clip2.mapping import LivePipeline

FRAMES = [sweep({0: ((4, 0, 0.5), (1, 1, 1))}, step / 10)[0] for step in range(6)]


class SlowMap:
    """Takes a frame only when it is allowed to."""

    def __init__(self):
        self.allowed, self.taken, self.began = threading.Semaphore(0), [], threading.Event()

    def find(self, frame):
        self.began.set()
        self.allowed.acquire()
        return frame

    def fuse(self, frame):
        self.taken.append(frame.id)
        return frame


def test_frames_that_come_too_fast_are_dropped_oldest_first_and_counted():
    slow = SlowMap()
    pipeline = LivePipeline(slow, depth=2)
    pipeline.offer(FRAMES[0])
    slow.began.wait(5)
    for frame in FRAMES[1:]:
        pipeline.offer(frame)
    slow.allowed.release(10)
    pipeline.close()
    assert slow.taken == [FRAMES[k].id for k in (0, 4, 5)]
    assert (pipeline.taken, pipeline.dropped) == (3, 3)


def test_a_bad_frame_is_told_and_the_map_goes_on():
    told, updates = [], []
    object_map = clip2.ObjectMap(tiny_model(tiny_bank()))
    with LivePipeline(object_map, updates.append, lambda frame, error: told.append(frame.id)) as pipeline:
        for k in (1, 0, 2):  # time runs backwards once
            pipeline.offer(FRAMES[k])
            pipeline.drain()
    assert told == [FRAMES[0].id]
    assert (pipeline.taken, pipeline.refused, len(updates)) == (2, 1, 2)


def offer_all(pipeline):
    for frame in FRAMES:
        pipeline.offer(frame)
    pipeline.drain()


@pytest.mark.parametrize("stage", ["find", "fuse"])
def test_a_failure_of_a_worker_reaches_the_caller_and_ends_both(stage):
    class Broken:
        def find(self, frame):
            return frame if stage == "fuse" else 1 / 0

        def fuse(self, frame):
            return frame if stage == "find" else 1 / 0

    pipeline = LivePipeline(Broken())
    with pytest.raises(ZeroDivisionError):
        offer_all(pipeline)
    with pytest.raises(ZeroDivisionError):
        pipeline.close()


def test_the_next_frame_is_looked_at_while_the_last_is_fused():
    class Overlapping:
        second, overlapped = threading.Event(), None

        def find(self, frame):
            if frame is FRAMES[1]:
                self.second.set()
            return frame

        def fuse(self, frame):
            if frame is FRAMES[0]:
                self.overlapped = self.second.wait(5)
            return frame

    overlapping = Overlapping()
    with LivePipeline(overlapping) as pipeline:
        for frame in FRAMES[:2]:
            pipeline.offer(frame)
    assert overlapping.overlapped


def test_the_map_is_the_same_as_without_a_pipeline():
    alone, live = (clip2.ObjectMap(tiny_model(tiny_bank())) for _ in range(2))
    before = torch.get_num_threads()
    with LivePipeline(live, depth=len(FRAMES)) as pipeline:
        offer_all(pipeline)
    for frame in FRAMES:
        alone.update(frame)
    assert torch.get_num_threads() == before
    assert [*live.objects] == [*alone.objects]
    for a, b in zip(live.objects.values(), alone.objects.values(), strict=True):
        np.testing.assert_array_equal(a.box, b.box)
        np.testing.assert_array_equal(a.cloud, b.cloud)
        np.testing.assert_allclose(a.embedding, b.embedding, atol=1e-6)


def test_a_budget_leaves_out_far_points_first_and_gives_them_back():
    object_map = clip2.ObjectMap(tiny_model(tiny_bank()), config=clip2.mapping.MapConfig(budget_ms=1e-3))
    object_map.update(FRAMES[0])
    object_map.update(FRAMES[1])
    reach = float(np.linalg.norm(FRAMES[0].points, axis=1).max())
    assert 0.5 * reach < object_map.range < reach
