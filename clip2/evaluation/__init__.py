"""Evaluation metrics of zero-shot classification."""

from clip2.evaluation.zero_shot import (
    ZeroShotReport,
    best_ranks,
    confusion_matrix,
    hit_at_k,
    score_zero_shot,
    top_k_accuracy,
)

__all__ = [
    "ZeroShotReport",
    "best_ranks",
    "confusion_matrix",
    "hit_at_k",
    "score_zero_shot",
    "top_k_accuracy",
]
