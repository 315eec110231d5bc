"""Scores: what a model gets right, counted the ways papers count."""

from clip2.evaluation.zero_shot import (
    ZeroShotReport,
    best_ranks,
    confusion_matrix,
    hit_at_k,
    score_zero_shot,
    top_k_accuracy,
    zero_shot_classify,
)

__all__ = [
    "ZeroShotReport",
    "best_ranks",
    "confusion_matrix",
    "hit_at_k",
    "score_zero_shot",
    "top_k_accuracy",
    "zero_shot_classify",
]
