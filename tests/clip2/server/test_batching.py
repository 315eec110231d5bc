"""Clouds of many requests in one batch: together if they wait together, alone if one is broken."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from support.recognition_stand_ins import tiny_model

from clip2.model import Description
from clip2.server.batching import Batcher
from data_prep.errors import InputError


def cloud(seed: int, count: int = 60) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 3))


class SlowEncoder:
    """Waits for a gate on its first batch, so that more requests arrive meanwhile; counts clouds per batch."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.first, self.gate = threading.Event(), threading.Event()

    def __call__(self, clouds, colors):
        self.batches.append(len(clouds))
        self.first.set()
        self.gate.wait(10)
        if any(not np.isfinite(each).all() for each in clouds):
            raise InputError("holds NaN", field="points")
        sums = np.array([[each.sum()] for each in clouds], np.float32)
        return Description(sums, sums)


@pytest.fixture
def slow():
    encoder = SlowEncoder()
    batcher = Batcher(encoder, max_clouds=10)
    yield encoder, batcher
    encoder.gate.set()
    batcher.close()


def test_requests_that_wait_are_encoded_together(slow):
    encoder, batcher = slow
    jobs = [batcher.submit([cloud(0)])]
    encoder.first.wait(10)
    jobs += [batcher.submit([cloud(i), cloud(i + 100)]) for i in range(1, 5)]
    encoder.gate.set()
    sums = [job.result(10).embeddings.ravel() for job in jobs]
    assert encoder.batches == [1, 8]
    expected = [[cloud(0).sum()]] + [[cloud(i).sum(), cloud(i + 100).sum()] for i in range(1, 5)]
    assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(sums, expected, strict=True))


def test_a_batch_is_limited_and_a_larger_request_is_its_own(slow):
    encoder, batcher = slow
    first = batcher.submit([cloud(0)])
    encoder.first.wait(10)
    jobs = [batcher.submit([cloud(i)] * 4) for i in range(3)] + [batcher.submit([cloud(9)] * 25)]
    encoder.gate.set()
    assert [len(job.result(10).embeddings) for job in (first, *jobs)] == [1, 4, 4, 4, 25]
    assert encoder.batches == [1, 8, 4, 25]


def test_a_broken_cloud_fails_alone(slow):
    encoder, batcher = slow
    first = batcher.submit([cloud(0)])
    encoder.first.wait(10)
    good = [batcher.submit([cloud(1)]), batcher.submit([cloud(2)])]
    bad = batcher.submit([np.full((3, 3), np.nan)])
    late = batcher.submit([cloud(3)])
    encoder.gate.set()
    with pytest.raises(InputError, match="holds NaN"):
        bad.result(10)
    for job, seed in zip((first, *good, late), (0, 1, 2, 3), strict=True):
        assert np.allclose(job.result(10).embeddings, cloud(seed).sum(), atol=1e-4)


def test_a_canceled_request_is_not_encoded(slow):
    encoder, batcher = slow
    first = batcher.submit([cloud(0)])
    encoder.first.wait(10)
    dropped, kept = batcher.submit([cloud(1)] * 5), batcher.submit([cloud(2)])
    assert dropped.cancel()
    encoder.gate.set()
    first.result(10), kept.result(10)
    assert encoder.batches == [1, 1]


def test_an_embedding_is_the_same_in_any_company():
    model = tiny_model()
    batcher = Batcher(model.describe)
    clouds = [cloud(i, 50 + 37 * i) for i in range(12)]
    threads_results: dict[int, np.ndarray] = {}

    def ask(i: int) -> None:
        threads_results[i] = batcher([clouds[i]]).embeddings[0]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batcher.close()
    alone = np.concatenate([model.describe([each]).embeddings for each in clouds])
    together = np.stack([threads_results[i] for i in range(12)])
    assert ((alone * together).sum(axis=1) > 0.9999).all()
