"""Class lists of the benchmarks: labels, other names of them, and where the list comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files

from data_prep.errors import InputError
from data_prep.labels import normalize_label


@dataclass(frozen=True)
class ClassList:
    """Labels of a benchmark.

    Attributes:
        labels: K labels in the order of the data's numbers.
        source: where the list comes from.
        synonyms: label → other names of it, in order of preference.
        keys: label → how the data spells it, where that is not the label itself.
        nyu40: label → its NYU40 class in ScanNet's table of names, where that is spelled in another way.
    """

    labels: tuple[str, ...]
    source: str
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)
    nyu40: Mapping[str, str] = field(default_factory=dict)

    def number(self, name: str) -> int | None:
        """Index of the class that the data calls ``name``; None: not in the list. Case and ``_`` do not matter."""
        return self._numbers().get(normalize_label(name))

    def _numbers(self) -> dict[str, int]:
        spelled = [self.keys.get(label, label) for label in self.labels]
        return {normalize_label(name): number for number, name in enumerate(spelled)}


def class_list(name: str) -> ClassList:
    """One of the lists that ship with the package.

    >>> class_list("scannet17").labels[:2]
    ('cabinet', 'bed')
    """
    record = json.loads(files("clip2.evaluation").joinpath(f"classes/{name}.json").read_text("utf-8"))
    synonyms = {label: tuple(names) for label, names in record.get("synonyms", {}).items()}
    keys, nyu40 = record.get("keys", {}), record.get("nyu40", {})
    return ClassList(tuple(record["labels"]), record["source"], synonyms, keys, nyu40)


def unknown_labels(names: Sequence[str], known: ClassList, source: str) -> InputError:
    """The error of data that holds classes outside the list."""
    shown = ", ".join(sorted(set(names))[:5])
    return InputError(
        f"holds {shown}, which the class list does not have",
        source=source,
        field="labels",
        fix=f"the list is {', '.join(known.labels[:8])}{' …' if len(known.labels) > 8 else ''}",
    )
