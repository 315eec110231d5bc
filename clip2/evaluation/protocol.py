"""Protocols: the interface of a benchmark, their registry, and the run that measures time and memory."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from clip2.evaluation.result import EvalResult
from clip2.evaluation.subject import Subject
from clip2.version import __version__
from data_prep.errors import BadDatasetError, InputError
from data_prep.registry import Registry

if TYPE_CHECKING:
    from clip2.model import Clip2Model
    from clip2.teacher.text_source import TextSource

ALL = "all"
Axes = Literal["auto", "z-up", "y-up"]
Progress = Callable[[str, int, int], None]


def silent(doing: str, done: int, total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True)
class Settings:
    """Options that all protocols share.

    Attributes:
        points: points drawn from each object, with ``seed``; None: what the protocol prescribes.
        seed: of every draw: points, corruptions, few-shot splits, bootstrap.
        color: False leaves out the colors that the data has.
        axes: ``auto``: what the layout is known to use; else how the files stand.
        cache: folder of embeddings; None: nothing is kept. A run that was interrupted continues from it.
        workers: processes that read and sample clouds; 1: this one.
        trained_on: triplet folders or roots of sets that the model has seen, to find test objects among them.
        limit: only the first so many objects; the result says so.
        options: options of single protocols by name, as text.
        progress: called with what is being done, how much is done, and how much there is.
    """

    points: int | None = None
    seed: int = 0
    color: bool = True
    axes: Axes = "auto"
    cache: Path | None = None
    workers: int = 1
    trained_on: tuple[Path, ...] = ()
    limit: int | None = None
    options: Mapping[str, str] = field(default_factory=dict)
    progress: Progress = silent

    def __post_init__(self) -> None:
        for name, value, least in (
            ("points", self.points, 8),
            ("seed", self.seed, 0),
            ("workers", self.workers, 1),
            ("limit", self.limit, 1),
        ):
            if value is not None and value < least:
                raise InputError(f"is {value}", field=f"--{name}", fix=f"give {least} or more")


class Protocol(ABC):
    """One way to measure a model.

    A subclass sets the attributes and implements :meth:`finds` and :meth:`run`; an instance is registered in
    :data:`PROTOCOLS`.

    Attributes:
        name: of the protocol.
        summary: one line.
        expected: the files that ROOT should hold, in words.
        options: names of the entries of ``Settings.options`` that it reads, each with its meaning.
        needs_model: whether a file of objects is refused.
    """

    name: str
    summary: str
    expected: str
    options: Mapping[str, str] = {}
    needs_model = True

    @abstractmethod
    def finds(self, root: Path) -> bool:
        """Whether ROOT holds the data, judged by file names alone."""

    @abstractmethod
    def run(self, subject: Subject, root: Path, settings: Settings) -> EvalResult:
        """Measure one model.

        Raises:
            InputError: data or model do not fit the protocol.
        """

    def suits(self, subject: Subject, root: Path, options: Mapping[str, str]) -> bool:
        """Whether ``all`` includes it for this subject and these options, where ROOT holds its data."""
        return subject.loaded is not None or not self.needs_model

    def require(self, root: Path, options: Mapping[str, str]) -> None:
        """Check that ROOT holds the data.

        Raises:
            BadDatasetError: it does not; the line says what is there and what is expected.
        """
        if not root.is_dir():
            raise BadDatasetError("is not a folder", source=root, field="--root", fix="check the path")
        if not self.finds(root):
            there = sorted(path.name + "/" * path.is_dir() for path in root.iterdir())
            shown = ", ".join(there[:8]) + (f" and {len(there) - 8} more" if len(there) > 8 else "")
            raise BadDatasetError(
                f"holds {shown or 'nothing'}; {self.name} expects {self.expected}",
                source=root,
                field="--root",
                fix="name the folder that holds it",
            )


# Sets of labeled objects: each is a benchmark of its own (zero-shot), and one more with each task behind a slash.
_OBJECT_SETS = (
    *("clouds", "modelnet10", "modelnet40", "named-objects", "objaverse-lvis", "shapenetpart", "triplets"),
    *(f"scanobjectnn-{kind}" for kind in ("obj-only", "obj-bg", "pb-t50-rs", "openshape")),
    *("scannet17", "scannet18", "scannet20", "scannet200", "sunrgbd10", "sunrgbd37"),
    *("nuscenes10", "once5", "kitti"),
)
_OBJECT_TASKS = ("robustness", "retrieval", "linear-probe", "few-shot", "prompts", "open-set")
_ON_OBJECTS = {
    **dict.fromkeys(_OBJECT_SETS, "clip2.evaluation.zero_shot"),
    **{f"{name}/{task}": "clip2.evaluation.tasks" for name in _OBJECT_SETS for task in _OBJECT_TASKS},
}
_ON_SCANS = ("detection", "boxes", "proposals", "lifting", "tracking", "open-set")
# A protocol's module is imported when its name is asked for.
PROTOCOLS = Registry[Protocol](
    "benchmark", {**_ON_OBJECTS, **dict.fromkeys(_ON_SCANS, "clip2.evaluation.scenes.benchmarks")}
)


def list_benchmarks() -> list[str]:
    """Names that :func:`evaluate` and ``clip2 eval --benchmark`` know.

    >>> "modelnet10" in list_benchmarks()
    True
    """
    return list(PROTOCOLS)


def evaluate(
    model: str | Path | Clip2Model,
    benchmark: str,
    root: str | Path,
    *,
    text: TextSource | None = None,
    settings: Settings | None = None,
    device: str = "cpu",
) -> tuple[EvalResult, ...]:
    """Measure a model with one or all protocols.

    Args:
        model: what :func:`clip2.load` takes, a model, or a ``.json`` file of objects for protocols on scans.
        benchmark: one of :func:`clip2.evaluation.list_benchmarks`, or ``all``: those whose data ``root`` holds.
        root: folder of the data.
        text: label vectors; None: the model's own.
        settings: points, seed, color and the like; None: as each protocol prescribes.
        device: of the model, if it is loaded here.

    Returns:
        One result per protocol.

    Raises:
        InputError: an unknown benchmark, data of another layout, a model that does not fit.

    >>> import clip2, tempfile, trimesh
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as root:
    ...     for label, mesh in (("table", trimesh.creation.box((1, 1, 0.1))), ("chair", trimesh.creation.cone(1, 2))):
    ...         folder = Path(root, "ModelNet10", label, "test")
    ...         folder.mkdir(parents=True)
    ...         _ = mesh.export(folder / f"{label}_0001.off")
    ...     (result,) = clip2.evaluate("mini-points", "modelnet10", root)
    >>> result.count, sorted(result.metrics)[:2]
    (2, ['class mean', 'top-1'])
    """
    return tuple(run_protocols(Subject.open(model, text, device), benchmark, Path(root), settings))


def run_protocols(
    subject: Subject, benchmark: str, root: Path, settings: Settings | None = None
) -> list[EvalResult]:
    """:func:`evaluate` for a subject that is open."""
    settings = settings or Settings()
    chosen = chosen_protocols(benchmark, root, settings.options)
    if benchmark == ALL:
        suited = [protocol for protocol in chosen if protocol.suits(subject, root, settings.options)]
        chosen = suited or chosen[:1]  # none: the first says why
    for name in settings.options:
        if not any(name in protocol.options for protocol in chosen):
            known = ", ".join(sorted({name for each in chosen for name in each.options})) or "none"
            raise InputError(
                f"{name!r} is not an option of {benchmark}", field="--option", fix=f"known: {known}"
            )
    return [_measured(protocol, subject, root, settings) for protocol in chosen]


def chosen_protocols(benchmark: str, root: Path, options: Mapping[str, str]) -> list[Protocol]:
    """The protocols of a name, after checking that ROOT holds their data.

    Args:
        benchmark, root: as of :func:`evaluate`.
        options: as in :class:`Settings`; a reader that is named among them is not guessed.

    Raises:
        InputError: an unknown name, or data of another layout; for ``all``, none is there.
    """
    if benchmark != ALL:
        protocol = PROTOCOLS[benchmark]
        protocol.require(root, options)
        return [protocol]
    if not root.is_dir():
        raise BadDatasetError("is not a folder", source=root, field="--root", fix="check the path")
    # Tasks on a set, like modelnet10/robustness, are asked for by name.
    plain = [PROTOCOLS[name] for name in PROTOCOLS if "/" not in name]
    found = [protocol for protocol in plain if protocol.finds(root)]
    if not found:
        raise BadDatasetError(
            "holds no data of any benchmark",
            source=root,
            field="--root",
            fix="see docs/evaluation.md for the layouts, or name one with --benchmark",
        )
    return found


def _measured(protocol: Protocol, subject: Subject, root: Path, settings: Settings) -> EvalResult:
    began = time.perf_counter()
    if protocol.needs_model:
        _ = subject.model  # a file of objects is told before data is read
    result = protocol.run(subject, root, settings)
    return replace(
        result,
        model=subject.name,
        model_digest=subject.digest,
        device="" if subject.loaded is None else str(subject.model.device),
        seconds=time.perf_counter() - began,
        memory=_peak_memory(),
        version=__version__,
    )


def _peak_memory() -> int:
    """Peak resident memory of this process in bytes; 0 where the system does not tell."""
    if sys.platform == "win32":
        return 0
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
