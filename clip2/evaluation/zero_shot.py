"""Zero-shot protocol: top-k accuracy and class mean of label similarity over an object set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.embedding import Embedded, embed_objects
from clip2.evaluation.metrics import best_ranks, bootstrap_interval, score_zero_shot
from clip2.evaluation.objects import ObjectSet
from clip2.evaluation.overlap import repeats, seen_digests
from clip2.evaluation.protocol import PROTOCOLS, Protocol, Settings
from clip2.evaluation.result import ClassRow, Conditions, Confusion, EvalResult, Metric
from clip2.evaluation.sets.registry import OBJECT_SETS, SetEntry
from clip2.evaluation.subject import Subject
from data_prep.errors import InputError

# A larger matrix is no picture any more.
_LARGEST_CONFUSION = 60


class ZeroShot(Protocol):
    """Top-1, top-3, top-5 and class mean of an object set; the label with the largest cosine is the answer.

    Args:
        name: of the set.
        entry: the set.
    """

    def __init__(self, name: str, entry: SetEntry) -> None:
        self.name, self.entry = name, entry
        self.summary = f"zero-shot classification of {entry.summary}"
        self.expected, self.options = entry.expected, entry.options

    def finds(self, root: Path) -> bool:
        return self.entry.finds(root)

    def suits(self, subject: Subject, root: Path, options: Mapping[str, str]) -> bool:
        return super().suits(subject, root, options) and self.entry.in_all

    def run(self, subject: Subject, root: Path, settings: Settings) -> EvalResult:
        objects = test_objects(self.entry, root, settings)
        text, prompts = label_vectors(subject, objects)
        found = embed_objects(subject, objects, settings)
        cosines = found.embeddings @ text.T
        metrics = accuracy_metrics(cosines, objects.targets, settings.seed)
        report = score_zero_shot(cosines, objects.targets, objects.labels)
        guess = f"an answer by chance is right in {1 / len(objects.labels):.1%}, one of {len(objects.labels)} labels"
        notes = [guess, *_absent_classes(objects)]
        seen = seen_digests(self.entry, root, settings)
        if seen.size:
            again = repeats(found.digests, seen.digests)
            notes.append(f"{again.sum()} of {len(objects)} test objects are also in {seen.where}")
            if again.any() and not again.all():
                fresh = accuracy_metrics(cosines[~again], objects.targets[~again], settings.seed)
                metrics["top-1 without repeats"] = fresh["top-1"]
        counts = np.bincount(objects.targets, minlength=len(objects.labels))
        rows = tuple(
            ClassRow(label, int(count), {"top-1": report.per_class.get(label, float("nan"))})
            for label, count in zip(objects.labels, counts, strict=True)
        )
        small = len(objects.labels) <= _LARGEST_CONFUSION
        return EvalResult(
            benchmark=self.name,
            summary=self.summary,
            count=len(objects),
            metrics=metrics,
            conditions=object_conditions(subject, objects, settings, found, prompts),
            data_digest=found.data_digest,
            classes=rows,
            confusion=Confusion(objects.labels, tuple(map(tuple, report.confusion.tolist())))
            if small
            else None,
            notes=tuple(notes),
        )


def test_objects(entry: SetEntry, root: Path, settings: Settings) -> ObjectSet:
    """The test objects of a set, at most ``settings.limit`` of them, drawn over all classes."""
    objects = entry.open(root, settings, "test")
    if settings.limit is None or settings.limit >= len(objects):
        return objects
    chosen = np.random.default_rng(settings.seed).permutation(len(objects))[: settings.limit]
    return objects.only(np.sort(chosen), f"{settings.limit} of {len(objects)} drawn with --limit")


def label_vectors(subject: Subject, objects: ObjectSet) -> tuple[NDArray[np.float32], str]:
    """(K, D) vectors of a set's labels, and the prompts behind them in words.

    A bank that lacks a label is asked for its synonyms, in order.

    Raises:
        InputError: labels without a vector under any name.
    """
    asked, missing = [], []
    for label in objects.labels:
        names = (label, *(objects.synonyms or {}).get(label, ()))
        known = next((name for name in names if subject.can_name(name)), None)
        asked.append(known or label)
        if known is None:
            missing.append(label)
    if missing:
        raise InputError(
            f"has no vector for {len(missing)} of {len(objects.labels)} labels of {objects.name}: "
            f"{', '.join(missing[:5])}{' …' if len(missing) > 5 else ''}",
            source=getattr(subject.source_of_text(), "source", subject.name),
            field="labels",
            fix="give a bank that has them, or a text tower with --clip",
        )
    replaced = [
        f"{label} as {name!r}" for label, name in zip(objects.labels, asked, strict=True) if label != name
    ]
    if len(set(asked)) < len(asked):
        raise InputError("two labels share one name in the bank", source=objects.name, field="synonyms")
    prompts = subject.source_of_text().templates or "not stated by the bank"
    shown = f"; asked: {', '.join(replaced)}" if replaced else ""
    return subject.vectors(asked), f"{prompts} ({len(asked)} labels){shown}"


def accuracy_metrics(cosines: NDArray, targets: NDArray[np.int64], seed: int) -> dict[str, Metric]:
    """Instance top-1, top-3, top-5 and class mean with bootstrap intervals."""
    ranks = best_ranks(cosines, np.arange(cosines.shape[1]) == targets[:, None])
    metrics = {}
    for k in (1, 3, 5):
        right = ranks < k
        metrics[f"top-{k}"] = Metric(float(right.mean()), *bootstrap_interval(right, seed=seed))
    first = ranks < 1
    means = [first[targets == each].mean() for each in np.unique(targets)]
    metrics["class mean"] = Metric(float(np.mean(means)), *bootstrap_interval(first, targets, seed=seed))
    return metrics


def object_conditions(
    subject: Subject, objects: ObjectSet, settings: Settings, found: Embedded | None, prompts: str
) -> Conditions:
    """What the numbers of an object set depend on."""
    drawn = settings.points or objects.points
    sizes = "" if found is None else f" ({int(np.median(found.points))} in the median)"
    model = subject.model
    return Conditions(
        counted="; ".join(filter(None, (f"{len(objects):,} objects", objects.left_out))),
        points=f"{'all' if drawn is None else f'at most {drawn:,} drawn'}{sizes}, "
        f"of which the model keeps {model.preprocessing.num_points:,}",
        seed=settings.seed,
        prompts=prompts,
        color=subject.color_state(settings.color) if objects.colored else "none in the data",
        axes=objects.axes,
        other={
            "size": "meters" if objects.metric else "not metric: the largest side is set to 1 m",
            **({"class list": objects.source} if objects.source else {}),
        },
    )


def _absent_classes(objects: ObjectSet) -> Sequence[str]:
    counts = np.bincount(objects.targets, minlength=len(objects.labels))
    absent = [label for label, count in zip(objects.labels, counts, strict=True) if count == 0]
    if not absent:
        return ()
    shown = f"{', '.join(absent[:8])}{' …' if len(absent) > 8 else ''}"
    return (f"{len(absent)} classes have no object and do not count in the class mean: {shown}",)


for _name, _entry in OBJECT_SETS.items():
    PROTOCOLS.register(_name)(ZeroShot(_name, _entry))
