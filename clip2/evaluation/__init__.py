"""Evaluation: protocols behind ``clip2 eval``, their results, and the metrics they use.

A protocol is one module; :data:`clip2.evaluation.protocol.PROTOCOLS` lists them by name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from clip2.evaluation.metrics import ZeroShotReport as ZeroShotReport
    from clip2.evaluation.metrics import best_ranks as best_ranks
    from clip2.evaluation.metrics import bootstrap_interval as bootstrap_interval
    from clip2.evaluation.metrics import confusion_matrix as confusion_matrix
    from clip2.evaluation.metrics import hit_at_k as hit_at_k
    from clip2.evaluation.metrics import score_zero_shot as score_zero_shot
    from clip2.evaluation.metrics import top_k_accuracy as top_k_accuracy
    from clip2.evaluation.protocol import Settings as Settings
    from clip2.evaluation.protocol import evaluate as evaluate
    from clip2.evaluation.protocol import list_benchmarks as list_benchmarks
    from clip2.evaluation.result import EvalResult as EvalResult
    from clip2.evaluation.result import Metric as Metric
    from clip2.evaluation.result import read_results as read_results
    from clip2.evaluation.result import write_results as write_results

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        **dict.fromkeys(
            (
                "ZeroShotReport",
                "best_ranks",
                "bootstrap_interval",
                "confusion_matrix",
                "hit_at_k",
                "score_zero_shot",
                "top_k_accuracy",
            ),
            "clip2.evaluation.metrics",
        ),
        **dict.fromkeys(("Settings", "evaluate", "list_benchmarks"), "clip2.evaluation.protocol"),
        **dict.fromkeys(("EvalResult", "Metric", "read_results", "write_results"), "clip2.evaluation.result"),
    },
)
