from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from clip2.training.sampler import ObjectSampler, balancing_weights, step_seed


def test_with_equal_weights_a_pass_shows_every_object_once() -> None:
    order = ObjectSampler(np.arange(100, 120), np.ones(20), batch_size=8, seed=3)
    stream = np.concatenate([order.batch(step) for step in range(5)])  # two passes of 20
    assert sorted(stream[:20]) == list(range(100, 120))
    assert sorted(stream[20:]) == list(range(100, 120))
    assert list(stream[:20]) != list(stream[20:])


def test_a_batch_depends_on_seed_and_step_alone() -> None:
    weights = balancing_weights(np.arange(50) % 7)
    there = ObjectSampler(np.arange(50), weights, 16, seed=1)
    forwards = [there.batch(step) for step in range(9)]
    backwards = [ObjectSampler(np.arange(50), weights, 16, seed=1).batch(step) for step in reversed(range(9))]
    assert all(np.array_equal(a, b) for a, b in zip(forwards, reversed(backwards), strict=True))
    assert not np.array_equal(forwards[0], ObjectSampler(np.arange(50), weights, 16, seed=2).batch(0))


def test_a_batch_may_be_larger_than_the_set() -> None:
    counts = Counter(ObjectSampler(np.arange(3), np.ones(3), 12, seed=0).batch(0).tolist())
    assert counts == {0: 4, 1: 4, 2: 4}


def test_words_are_drawn_as_the_square_root_of_their_count() -> None:
    # 900 cars and 100 vans and 4 trams: in proportion 30 : 10 : 2.
    words = np.repeat([0, 1, 2], [900, 100, 4])
    order = ObjectSampler(np.arange(1004), balancing_weights(words), 1004, seed=0)
    drawn = np.concatenate([words[order.batch(step)] for step in range(10)])
    cars, vans, trams = np.bincount(drawn)
    assert cars / vans == pytest.approx(3, rel=0.02)
    assert vans / trams == pytest.approx(5, rel=0.05)


def test_objects_without_a_word_are_not_one_word() -> None:
    # 400 nameless things beside 100 cars and 4 trams: each once per pass, cars to trams still 5 : 1.
    words = np.repeat([-1, 0, 1], [400, 100, 4])
    order = ObjectSampler(np.arange(504), balancing_weights(words), 504, seed=0)
    nameless, cars, trams = np.bincount(np.concatenate([words[order.batch(step)] for step in range(10)]) + 1)
    assert nameless == pytest.approx(4000, abs=10)
    assert cars / trams == pytest.approx(5, rel=0.05)


def test_seeds_of_steps_and_ranks_differ() -> None:
    seeds = {step_seed(0, step, rank) for step in range(100) for rank in range(4)}
    assert len(seeds) == 400
    assert all(0 <= seed < 2**63 for seed in seeds)
