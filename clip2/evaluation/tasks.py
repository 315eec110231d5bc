"""Tasks on an object set besides zero-shot: robustness, retrieval, linear probe, few-shot, prompt sensitivity."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from clip2.evaluation.corruptions import CORRUPTIONS, Corrupt, Turn
from clip2.evaluation.embedding import embed_objects
from clip2.evaluation.metrics import bootstrap_interval, search_by_class, top_k_accuracy
from clip2.evaluation.objects import ObjectSet
from clip2.evaluation.open_set import NONE_OF_THESE, score_open_set
from clip2.evaluation.protocol import PROTOCOLS, Protocol, Settings
from clip2.evaluation.result import Curve, EvalResult, Metric
from clip2.evaluation.sets.registry import OBJECT_SETS, SetEntry
from clip2.evaluation.subject import Subject
from clip2.evaluation.zero_shot import accuracy_metrics, label_vectors, object_conditions, test_objects
from clip2.labels import normalize_label, parse_labels
from clip2.teacher.prompts import require_templates
from data_prep.errors import InputError
from data_prep.storage.extras import require_extra

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

SHOTS, SEEDS = (1, 2, 4, 8, 16), 10
# As CLIP does: C swept on a validation split. It is never chosen by the test split.
PENALTIES = tuple(float(c) for c in np.logspace(-3, 5, 9))
_VALIDATION = 0.2
_POINTS = (64, 128, 256, 512, 1024, 2048, 4096, 8192)
Run = Callable[[Subject, SetEntry, Path, Settings], EvalResult]


class Task(Protocol):
    """A task on an object set; ``name`` is ``SET/TASK``."""

    def __init__(
        self, set_name: str, entry: SetEntry, task: str, summary: str, run: Run, options: Mapping[str, str]
    ) -> None:
        self.name = f"{set_name}/{task}"
        self.summary = f"{summary}, {entry.summary}"
        self.options = {**entry.options, **options}
        self.entry, self.expected, self._run = entry, entry.expected, run

    def finds(self, root: Path) -> bool:
        return self.entry.finds(root)

    def run(self, subject: Subject, root: Path, settings: Settings) -> EvalResult:
        from dataclasses import replace

        return replace(
            self._run(subject, self.entry, root, settings), benchmark=self.name, summary=self.summary
        )


def _result(
    subject: Subject, objects: ObjectSet, settings: Settings, metrics: dict[str, Metric], prompts: str, digest: str,
    curves: tuple[Curve, ...] = (), notes: tuple[str, ...] = (),
) -> EvalResult:  # fmt: skip
    conditions = object_conditions(subject, objects, settings, None, prompts)
    return EvalResult("", "", len(objects), metrics, conditions, digest, curves=curves, notes=notes)


def robustness(subject: Subject, entry: SetEntry, root: Path, settings: Settings) -> EvalResult:
    """Top-1 under 15 corruptions x 5 severities, random rotations, fewer points, and without color."""
    objects = test_objects(entry, root, settings)
    text, prompts = label_vectors(subject, objects)

    def top1(**changes: object) -> float:
        found = embed_objects(subject, objects, settings, **changes)  # type: ignore[arg-type]
        return top_k_accuracy(found.embeddings @ text.T, objects.targets, 1)

    plain = embed_objects(subject, objects, settings)
    untouched = accuracy_metrics(plain.embeddings @ text.T, objects.targets, settings.seed)["top-1"]
    clean = untouched.value
    values = {
        (name, severity): top1(change=Corrupt(name, severity, settings.seed), doing=f"{name} {severity}")
        for name, severity in product(CORRUPTIONS, range(1, 6))
    }
    curves = [
        Curve("corruptions", name, "severity", "top-1", (0.0, 1.0, 2.0, 3.0, 4.0, 5.0),
              (clean, *(values[name, severity] for severity in range(1, 6))))
        for name in CORRUPTIONS
    ]  # fmt: skip
    counts = [count for count in _POINTS if count <= max(64, int(np.median(plain.points)))]
    by_points = [top1(points=count, doing=f"{count} points") for count in counts]
    curves.append(
        Curve(
            "points per object",
            "top-1",
            "points drawn",
            "top-1",
            tuple(map(float, counts)),
            tuple(by_points),
            log_x=True,
        )
    )
    metrics = {
        "mean top-1 of 75 corruptions": Metric(float(np.mean(list(values.values())))),
        "clean top-1": untouched,
        "top-1 under random SO(3)": Metric(top1(change=Turn(settings.seed), doing="random rotations")),
    }
    can_do_without = subject.model.config.colors_seen == "both" and subject.model.config.preprocessing.color
    if objects.colored and settings.color and can_do_without:
        from dataclasses import replace

        bare = embed_objects(subject, objects, replace(settings, color=False), doing="without color")
        metrics["top-1 without color"] = Metric(top_k_accuracy(bare.embeddings @ text.T, objects.targets, 1))
    metrics |= {
        f"top-1 {name}": Metric(float(np.mean([values[name, s] for s in range(1, 6)])))
        for name in CORRUPTIONS
    }
    return _result(subject, objects, settings, metrics, prompts, plain.data_digest, tuple(curves))


def retrieval(subject: Subject, entry: SetEntry, root: Path, settings: Settings) -> EvalResult:
    """Clouds found by a label, by another cloud of the class, and by their crops; exact search over the test split."""
    objects = test_objects(entry, root, settings)
    text, prompts = label_vectors(subject, objects)
    found = embed_objects(subject, objects, settings)
    targets = objects.targets
    counts = np.bincount(targets, minlength=len(objects.labels))
    present, several = np.flatnonzero(counts), np.flatnonzero(counts[targets] > 1)
    metrics = _search("label to cloud", text[present], found.embeddings, present, targets)
    if len(several):
        metrics |= _search(
            "cloud to cloud", found.embeddings[several], found.embeddings, targets[several], targets, several
        )
    notes: tuple[str, ...] = ()
    if objects.crops is not None:
        images, has_crop = objects.crops.read(subject.model.teacher.name)
        clouds, images = found.embeddings[has_crop], images[has_crop]
        own = np.arange(len(clouds))
        notes = (f"{len(own)} of {len(objects)} objects have a crop; only the crop's own object is right",)
        if len(own):
            metrics |= _search("crop to cloud", images, clouds, own, own)
            metrics |= _search("cloud to crop", clouds, images, own, own)
    return _result(
        subject, objects, settings,
        {name: Metric(value, unit="rank" if "rank" in name else "") for name, value in metrics.items()},
        prompts, found.data_digest, notes=notes,
    )  # fmt: skip


def _search(name: str, *arrays: NDArray) -> dict[str, float]:
    return {f"{name} {key}": value for key, value in search_by_class(*arrays).items()}


def linear_probe(subject: Subject, entry: SetEntry, root: Path, settings: Settings) -> EvalResult:
    """Logistic regression on frozen embeddings; C is swept on a fifth of the training split."""
    objects, test, train, x, digest = _both_splits(subject, entry, root, settings)
    order = np.random.default_rng(settings.seed).permutation(len(x))
    held, rest = np.split(order, [max(1, int(_VALIDATION * len(x)))])
    y = train.targets
    scores = [_fit(x[rest], y[rest], c).score(x[held], y[held]) for c in PENALTIES]
    chosen = PENALTIES[int(np.argmax(scores))]
    right = _fit(x, y, chosen).predict(test) == objects.targets
    metrics = {"top-1": Metric(float(right.mean()), *bootstrap_interval(right, seed=settings.seed))}
    note = f"C = {chosen:g}, chosen on {len(held)} of {len(x)} training objects; then fitted to all of them"
    curve = Curve(
        "validation of C",
        "validation",
        "C",
        "top-1 on the validation split",
        PENALTIES,
        tuple(scores),
        log_x=True,
    )
    return _result(subject, objects, settings, metrics, "not used", digest, (curve,), (note,))


def few_shot(subject: Subject, entry: SetEntry, root: Path, settings: Settings) -> EvalResult:
    """1 to 16 training objects per class, ten draws: logistic regression, and a training-free cache."""
    objects, test, train, x, digest = _both_splits(subject, entry, root, settings)
    text, prompts = label_vectors(subject, objects)
    smallest = int(np.bincount(train.targets)[np.unique(train.targets)].min())
    shots = [count for count in SHOTS if count <= smallest]
    metrics: dict[str, Metric] = {}
    means: dict[str, list[tuple[float, float]]] = {"logistic regression": [], "cache": []}
    for count in shots:
        draws: dict[str, list[float]] = {name: [] for name in means}
        for draw in range(SEEDS):
            chosen = _draw(train.targets, count, np.random.default_rng([settings.seed, count, draw]))
            y = train.targets[chosen]
            draws["logistic regression"].append(float(_fit(x[chosen], y, 1.0).score(test, objects.targets)))
            # Tip-Adapter (Zhang et al., ECCV 2022) without training, alpha 1 and beta 5.5. Its code searches both on
            # the data it reports; here they are fixed.
            affinity = np.exp(-5.5 * (1 - test @ x[chosen].T))
            logits = 100 * test @ text.T + affinity @ np.eye(len(objects.labels))[y]
            draws["cache"].append(top_k_accuracy(logits, objects.targets, 1))
        for name, values in draws.items():
            mean, spread = float(np.mean(values)), float(np.std(values))
            means[name].append((mean, spread))
            metrics[f"{name}, {count}-shot"] = Metric(mean, spread=spread)
    if not shots:
        raise InputError("has a class without objects", source=f"{objects.name} train", field="targets")
    curves = tuple(
        Curve("few-shot", name, "objects per class", "top-1", tuple(map(float, shots)),
              tuple(mean for mean, _ in rows), tuple(spread for _, spread in rows), log_x=True)
        for name, rows in means.items()
    )  # fmt: skip
    note = f"mean ± standard deviation of {SEEDS} draws of training objects; the test objects are the same in all"
    return _result(subject, objects, settings, metrics, prompts, digest, curves, (note,))


def prompt_sensitivity(subject: Subject, entry: SetEntry, root: Path, settings: Settings) -> EvalResult:
    """Top-1 with each sentence of a prompt set alone, and with one label at a time under another name."""
    objects = test_objects(entry, root, settings)
    text, prompts = label_vectors(subject, objects)
    found = embed_objects(subject, objects, settings)

    def top1(vectors: NDArray[np.float32]) -> float:
        return top_k_accuracy(found.embeddings @ vectors.T, objects.targets, 1)

    base, by_name = top1(text), {}
    for row, label in enumerate(objects.labels):
        for name in (objects.synonyms or {}).get(label, ()):
            other = text.copy()
            if subject.can_name(name):
                other[row] = subject.vectors([name])[0]
            if not np.array_equal(other[row], text[row]):  # else the name that the bank was asked for
                by_name[f"{label} as {name!r}"] = top1(other)
    chosen = settings.options.get("templates", "ulip-64")
    require_templates(chosen)
    by_sentence = {
        sentence: top1(vectors)
        for sentence, vectors in subject.single_prompts(objects.labels, chosen, settings.progress)
    }
    spreads = {"single prompts": by_sentence, "other names": by_name}
    if not by_sentence and not by_name:
        raise InputError(
            "has no text tower, and vectors for no synonym",
            source=subject.name,
            field="labels",
            fix="add --clip",
        )
    metrics, notes, curves = {"top-1": Metric(base)}, [], []
    for kind, values in spreads.items():
        if not values:
            notes.append(f"no {kind}: {'a text tower is needed' if values is by_sentence else 'no vectors'}")
            continue
        ordered = sorted(values.items(), key=lambda item: item[1])
        tops = [value for _, value in ordered]
        metrics[f"mean of {len(tops)} {kind}"] = Metric(float(np.mean(tops)), spread=float(np.std(tops)))
        metrics |= {f"lowest of {kind}": Metric(tops[0]), f"highest of {kind}": Metric(tops[-1])}
        for text_of, value in (*ordered[:3], *ordered[3:][-3:]):
            notes.append(f"{kind}: {text_of}: top-1 {value:.3f}")
        ranks = tuple(float(rank + 1) for rank in range(len(tops)))
        curves.append(Curve("prompt sensitivity", kind, "rank, the worst first", "top-1", ranks, tuple(tops)))
    return _result(
        subject, objects, settings, metrics, f"{prompts}; single prompts of {chosen}", found.data_digest,
        tuple(curves), tuple(notes),
    )  # fmt: skip


def open_set(subject: Subject, entry: SetEntry, root: Path, settings: Settings) -> EvalResult:
    """Rejection of the objects of classes that are not among the labels asked for."""
    objects = test_objects(entry, root, settings)
    text, prompts = label_vectors(subject, objects)
    if "labels" in settings.options:
        asked = [normalize_label(name) for name in parse_labels(settings.options["labels"])]
        names = [normalize_label(label) for label in objects.labels]
        if foreign := sorted(set(asked) - set(names)):
            raise InputError(f"{foreign[0]!r} is not a class of {objects.name}", field="--option labels")
        rows = [names.index(name) for name in asked]
    else:
        rows = list(range(0, len(objects.labels), 2))
    number = np.full(len(objects.labels), NONE_OF_THESE)
    number[rows] = np.arange(len(rows))
    found = embed_objects(subject, objects, settings)
    report = score_open_set(
        found.embeddings @ text[rows].T,
        number[objects.targets],
        subject.model.logit_scale,
        found.distances,
        settings.seed,
    )
    known = ", ".join(objects.labels[row] for row in rows)
    metrics = report.metrics()
    return _result(
        subject,
        objects,
        settings,
        metrics,
        f"{prompts}; asked for: {known}",
        found.data_digest,
        report.curves(),
    )


def _both_splits(
    subject: Subject, entry: SetEntry, root: Path, settings: Settings
) -> tuple[ObjectSet, NDArray[np.float32], ObjectSet, NDArray[np.float32], str]:
    """Test objects and embeddings, training objects without those of the test split, their embeddings, data digest."""
    require_extra("sklearn", "eval", needed_for="a linear probe")
    if not entry.trains:
        raise InputError("has no training split", source=entry.summary, field="--benchmark")
    objects = test_objects(entry, root, settings)
    found = embed_objects(subject, objects, settings)
    train = entry.open(root, settings, "train")
    seen = embed_objects(subject, train, settings, doing="training split")
    fresh = np.array([digest not in set(found.digests) for digest in seen.digests])
    if not fresh.any():
        raise InputError(
            "holds nothing but test objects", source=f"{objects.name} train", fix="check the split"
        )
    repeated = int((~fresh).sum())
    kept = train.only(
        np.flatnonzero(fresh), f"{repeated} training objects that are also in the test split left out"
    )
    return objects, found.embeddings, kept, seen.embeddings[fresh], found.data_digest


def _fit(x: NDArray, y: NDArray, penalty: float) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=penalty, max_iter=1000).fit(x, y)


def _draw(targets: NDArray[np.int64], count: int, random: np.random.Generator) -> NDArray[np.int64]:
    return np.concatenate(
        [random.choice(np.flatnonzero(targets == each), count, replace=False) for each in np.unique(targets)]
    )


_TASKS: dict[str, tuple[str, Run, dict[str, str]]] = {
    "robustness": ("zero-shot under corruptions, rotations and fewer points", robustness, {}),
    "retrieval": ("retrieval of clouds by label, by cloud and by crop", retrieval, {}),
    "linear-probe": ("logistic regression on frozen embeddings", linear_probe, {}),
    "few-shot": ("a few training objects per class", few_shot, {}),
    "prompts": (
        "zero-shot with single prompts and other names of the labels",
        prompt_sensitivity,
        {"templates": "prompt set whose sentences are used one by one; ulip-64 without"},
    ),
    "open-set": (
        "rejection of objects that none of the labels names",
        open_set,
        {"labels": "classes to ask for, with commas; every second one without"},
    ),
}
for _set, _entry in OBJECT_SETS.items():
    for _task, (_summary, _run, _options) in _TASKS.items():
        PROTOCOLS.register(f"{_set}/{_task}")(Task(_set, _entry, _task, _summary, _run, _options))
