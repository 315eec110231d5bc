"""One-to-one matching, by hand."""

from __future__ import annotations

import numpy as np

from data_prep.geometry.matching import match_by_overlap, match_by_score


def test_a_duplicate_matches_nothing_even_if_another_object_is_near() -> None:
    # Both predictions overlap the first object most; PASCAL VOC does not give the second one what is left.
    overlap = [[0.9, 0.0], [0.8, 0.6]]
    assert match_by_score(overlap, [0.9, 0.8], 0.5).tolist() == [0, -1]
    assert match_by_score(overlap, [0.8, 0.9], 0.5).tolist() == [-1, 0]
    assert match_by_overlap(overlap, 0.5).tolist() == [0, 1]


def test_equal_scores_keep_their_order_and_the_threshold_is_inclusive() -> None:
    assert match_by_score([[0.5], [0.9]], [0.7, 0.7], 0.5).tolist() == [0, -1]
    assert match_by_score([[0.4999]], [1.0], 0.5).tolist() == [-1]


def test_nothing_to_match() -> None:
    for match in (match_by_score(np.zeros((2, 0)), [0.1, 0.2], 0.5), match_by_overlap(np.zeros((2, 0)), 0.5)):
        assert match.tolist() == [-1, -1]
    assert len(match_by_score(np.zeros((0, 3)), [], 0.5)) == 0
