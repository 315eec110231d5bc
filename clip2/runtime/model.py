"""Exported models in onnxruntime: the same answers as :class:`clip2.Clip2Model`, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from clip2.object_model import Description, ObjectModel
from clip2.ood.detector import OODDetector
from clip2.preprocessing import CloudArrays
from clip2.recognition.instances import Instances3D
from clip2.recognition.recognizer import Recognizer
from clip2.recognition.scannable import Scannable
from clip2.runtime.description import OnnxDescription
from clip2.runtime.indices import plan_indices
from clip2.teacher.text_bank import TextBank
from data_prep.errors import InputError
from data_prep.storage.files import file_sha256
from data_prep.storage.onnx_graph import graph_errors, open_graph
from data_prep.storage.reading import is_file_name

_INPUTS = ("points", "lengths", "colors", "has_color", "radii")  # besides the indices
_POINTS_AT_ONCE = 1 << 15  # bounds the memory of a batch; onnxruntime gains little from larger ones


class OnnxModel(ObjectModel):
    """A model that ``clip2 export`` wrote, run by onnxruntime.

    It can be given to :class:`clip2.Recognizer` wherever that takes a :class:`clip2.Clip2Model`.

    Args:
        folder: of ``clip2 export``.
        threads: of onnxruntime; None: as many as there are cores.
        graph: ``encoder``, or ``encoder_int8`` if the export wrote it.

    Raises:
        InputError: onnxruntime is not installed; not such a folder; a file that is missing, altered or no graph.

    >>> OnnxModel("a-folder-of-clip2-export")
    Traceback (most recent call last):
    data_prep.errors.InputError: a-folder-of-clip2-export: has no clip2_onnx.json. Fix: give a folder that clip2 export wrote
    """

    def __init__(
        self,
        folder: str | Path,
        threads: int | None = None,
        graph: Literal["encoder", "encoder_int8"] = "encoder",
    ) -> None:
        folder = Path(folder)
        self.description = OnnxDescription.load(folder)
        if graph not in self.description.graphs:
            raise InputError(
                f"has no {graph}",
                source=folder,
                field="graph",
                fix="export with --int8, or use another graph",
            )
        self.config = self.description.model
        bank, ood = self.description.text_bank, self.description.ood
        self.text_bank = None if bank is None else TextBank.load(_inside(folder, bank))
        self.text = self.text_bank
        self.ood_detector = None if ood is None else OODDetector.load(_inside(folder, ood))
        record = self.description.graphs[graph]
        path = _inside(folder, record.file)
        if file_sha256(path) != record.sha256:
            raise InputError("differs from its checksum", source=path, field="sha256", fix="export again")
        known = (*_INPUTS, *self.description.plan.names)
        if unknown := set(record.inputs).difference(known):
            raise InputError(
                f"has an input {min(unknown)!r}",
                source=folder,
                field="inputs",
                fix=f"known: {', '.join(known)}",
            )
        self._inputs = record.inputs
        self._path, self._session = path, open_graph(path, "clip2.runtime", threads)

    @property
    def logit_scale(self) -> float:
        """Learned factor of the cosines before the softmax over labels."""
        return self.description.logit_scale

    def encode(
        self,
        clouds: Sequence[NDArray[np.floating]],
        colors: Sequence[NDArray[np.uint8] | None] | None = None,
        batch_size: int | None = None,
    ) -> NDArray[np.float32]:
        """(B, D) float32 unit rows, one per object; arguments and errors as of :meth:`describe`."""
        return self.describe(clouds, colors, batch_size).embeddings

    def describe(
        self,
        clouds: Sequence[NDArray[np.floating]],
        colors: Sequence[NDArray[np.uint8] | None] | None = None,
        batch_size: int | None = None,
    ) -> Description:
        """Embeddings and features, see :meth:`ObjectModel.describe <clip2.object_model.ObjectModel.describe>`."""
        if len(clouds) == 0:
            raise InputError("no clouds given", field="clouds")
        colors = self._usable_colors(len(clouds), colors)
        step = batch_size or max(1, _POINTS_AT_ONCE // self.preprocessing.num_points)
        parts = []
        for start in range(0, len(clouds), step):
            stop = start + step
            batch = self.preprocessing.arrays(
                clouds[start:stop], None if colors is None else colors[start:stop], first=start
            )
            with graph_errors(self._path):
                parts.append(self._session.run(["embeddings", "features"], self._feed(batch)))
        embeddings, features = (np.concatenate(each) for each in zip(*parts, strict=True))
        return Description.checked(embeddings, features)

    def recognize(
        self, scan: Scannable, labels: str | Sequence[str] | None = None, **options: Any
    ) -> Instances3D:
        """Find and name the objects of a scan, as :meth:`clip2.Recognizer.query` does.

        Args:
            scan: a Frame; a cloud file; points (N, 3) in meters, z-up; or these and their colors (N, 3) uint8.
            labels: to choose from; None: all labels of the text bank.
            options: further arguments of :meth:`clip2.Recognizer.query`.

        Raises:
            InputError: a broken scan, no labels, or a label without a vector.
        """
        return Recognizer(self).set_scan(scan).query(labels, **options)

    def _feed(self, batch: CloudArrays) -> dict[str, NDArray]:
        plan = self.description.plan
        points, colors = batch.points, batch.features
        if points.shape[1] < plan.samples:  # the graph counts on a point per center; these are padding
            points = np.pad(points, ((0, 0), (0, plan.samples - points.shape[1]), (0, 0)))
            colors = (
                None
                if colors is None
                else np.pad(colors, ((0, 0), (0, points.shape[1] - colors.shape[1]), (0, 0)))
            )
        values = (points, batch.lengths, colors, batch.features_present, batch.radii)
        given = {
            **dict(zip(_INPUTS, values, strict=True)),
            **dict(zip(plan.names, plan_indices(points, batch.lengths, plan), strict=True)),
        }
        return {name: value for name in self._inputs if (value := given[name]) is not None}


def _inside(folder: Path, name: str) -> Path:
    # A downloaded folder must not name files outside of itself.
    path = folder / name
    if not is_file_name(name) or not path.is_file():
        raise InputError(f"names {name!r}, which is not in it", source=folder, fix="copy the whole folder")
    return path
