"""Index of objects: a LanceDB table with vectors of one CLIP space."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from itertools import islice
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clip2.search.hits import Hit, group_sightings, row_filter
from clip2.search.lance import OneLine, table_names, writing
from clip2.search.objects import StoredObject, from_row, schema, to_rows
from clip2.search.sources import objects_of, read_objects
from data_prep.errors import InputError
from data_prep.storage.extras import require_extra
from data_prep.storage.lock import LOCK, FolderLock
from data_prep.storage.reading import require_no_pipe
from data_prep.storage.versioned import FileFormat

if TYPE_CHECKING:
    from clip2.object_model import ObjectModel
    from clip2.recognition.instances import Instances3D
    from data_prep.scans import Frame

FORMAT = FileFormat("clip2-index", 2)
# Of release 0.1.0: read as it is, and written anew by the first addition.
_BEFORE = FileFormat("clip2-index", 1)
_TABLE = "objects"
_BATCH = 1000  # objects per transaction
# Below, reading every vector is as fast and exact.
VECTOR_INDEX_FROM = 20_000
_STALE = 0.2  # share of rows without a vector index from which it is built anew
# Bits per dimension of the codes in the vector index. A search compares a query with the codes of all objects, because the
# neighbors of a label among objects that are near images are in no few partitions, and these many of the best with their
# full vectors: python -m benchmarks.search measures both.
_BITS, _REFINED = 4, 100
_EVERY_PARTITION = 1_000_000
_PARTITION = 8192  # rows; smaller ones take longer to build and to search, and find no more
_MARGIN = 5  # hits read for each that is wanted, as several can be one object


class Index:
    """Objects of many scans, searched by vectors. Several processes may add and search at the same time.

    Args:
        path: a folder that is made on the first :meth:`add`, or a URL such as ``s3://bucket/fleet``.

    Raises:
        InputError: the extra ``search`` is not installed, or ``path`` is an index of a newer version, or none.

    >>> import tempfile
    >>> index = Index(tempfile.mkdtemp() + "/db")
    >>> vectors = np.eye(4, dtype=np.float32)
    >>> objects = [StoredObject(vectors[i], np.full(7, float(i)), "mug", scan="kitchen") for i in range(4)]
    >>> index.add(objects, model="ViT-B-32/openai"), index.add(objects, model="ViT-B-32/openai"), len(index)
    (4, 0, 4)
    >>> index.search([0, 0, 1, 0.1], "ViT-B-32/openai", k=1)[0].object.box.tolist()
    [2.0, 2.0, 2.0, 2.0, 2.0, 2.0, 2.0]
    """

    def __init__(self, path: str | Path) -> None:
        require_extra("lancedb", "search", needed_for="the index")
        self.path = str(path)
        self._is_local = "://" not in self.path
        self._table: Any = None
        folder = Path(self.path)
        if self._is_local and folder.exists() and not folder.is_dir():
            raise InputError("is a file", source=self.path, fix="name a folder for the index")
        if self._is_local and not folder.exists():
            return  # the first add makes it
        if self._is_local:
            require_no_pipe(folder)
        with self._lance():
            database = self._connect()
            there = _TABLE in table_names(database)
        if there:
            self._open(database)
        elif self._is_local and any(file.name != LOCK for file in folder.iterdir()):
            raise InputError("holds other files", source=self.path, fix="name a new folder for the index")

    def __len__(self) -> int:
        """Number of objects."""
        if self._table is None:
            return 0
        with self._lance():
            return int(self._table.count_rows())

    @property
    def model(self) -> str:
        """The CLIP model whose space the vectors are in; "" while the index is empty."""
        return "" if self._table is None else self._metadata["model"]

    @property
    def width(self) -> int:
        """D of the vectors; 0 while the index is empty."""
        if self._table is None:
            return 0
        with self._lance():
            return int(self._table.schema.field("vector").type.list_size)

    def add(
        self,
        objects: Iterable[StoredObject] | Instances3D,
        model: str = "",
        scan: str = "",
        frame: Frame | None = None,
        optimize: bool = True,
    ) -> int:
        """Add objects; those that are there already, by content, are left as they are.

        Args:
            objects: stored objects, or the result of a recognition or of a map query.
            model: the CLIP model of their vectors; a result states it.
            scan: name of the scan of a result; default: its frame's.
            frame: that a result was recognized in; its images give crops.
            optimize: call :meth:`optimize` after many; False if more are to follow.

        Returns:
            How many are new.

        Raises:
            InputError: vectors of another model than the index has.
        """
        from clip2.recognition.instances import Instances3D

        if isinstance(objects, Instances3D):
            model, objects = objects.model, objects_of(objects, scan, frame=frame)
        if not model:
            raise InputError("is missing", field="model", fix="name the CLIP model of the vectors")
        objects, added = iter(objects), 0
        while batch := list(islice(objects, _BATCH)):
            widths = {len(one.embedding) for one in batch}
            if len(widths) > 1:
                raise InputError(f"are {sorted(widths)} wide", field="embeddings")
            self._require_space(model, widths.pop(), create=True)
            if not self._is_current:
                self._renew()
            added += self._merge(to_rows(batch, model, self._table.schema))
        if optimize and added >= _BATCH:
            self.optimize()
        return added

    def add_path(self, path: str | Path, model: ObjectModel | None = None, scan: str = "") -> int:
        """Add what a path holds: a result of ``clip2 recognize``, a map of ``clip2 map``, or a triplet folder.

        Args:
            path: file or folder.
            model: encodes the points of triplets.
            scan: name of the scan; default: of the file or folder.

        Returns:
            How many objects are new.

        Raises:
            InputError: a path that holds none of these, or vectors of another model.
        """
        space, objects = read_objects(path, model, scan)
        return self.add(objects, space)

    def search(
        self,
        vector: ArrayLike,
        model: str,
        k: int = 10,
        *,
        near: Sequence[float] | None = None,
        since: float | None = None,
        until: float | None = None,
        scan: str | None = None,
        exact: bool = False,
    ) -> list[Hit]:
        """The objects most similar to a vector.

        Args:
            vector: (D,), of any length.
            model: the CLIP model that made it.
            k: most objects to find; sightings of one object count once.
            near: x, y, z, radius in meters: only objects whose center is in this ball.
            since, until: only objects seen from or to this moment, seconds since 1970.
            scan: only objects of this scan.
            exact: compare with every vector, without a vector index.

        Returns:
            Hits, most similar first.

        Raises:
            InputError: a vector of another model or width, a filter of another form.
        """
        query = np.asarray(vector, np.float32)
        if k < 1:
            raise InputError(f"is {k}", field="k", fix="give 1 or more")
        if self._table is None:
            return []
        if query.ndim != 1 or not np.isfinite(query).all() or not np.any(query):
            raise InputError(f"has shape {query.shape} or no length", field="vector")
        self._require_space(model, len(query), create=False)
        where = row_filter(near, since, until, scan)
        with self._lance():
            table = self._nearest(query, _MARGIN * k, where, exact)
            vectors = table["vector"].combine_chunks().flatten().to_numpy().reshape(-1, self.width)
            records = table.drop_columns(["vector"]).to_pylist()
            found = [
                (from_row(row, v), 1 - row["_distance"]) for row, v in zip(records, vectors, strict=True)
            ]
        return list(islice(group_sightings(found), k))

    def _nearest(self, query: NDArray[np.float32], count: int, where: str, exact: bool) -> Any:
        """Arrow table of the rows nearest to a query."""
        search = self._table.search(query, vector_column_name="vector").distance_type("cosine").limit(count)
        if where:
            search = search.where(where, prefilter=True)
        if exact:
            search = search.bypass_vector_index()
        else:
            search = search.nprobes(_EVERY_PARTITION).refine_factor(max(2, ceil(_REFINED / count)))
        unread = ("id", "x", "y", "z") if self._is_current else ("id",)
        columns = [name for name in self._table.schema.names if name not in unread]
        return search.select([*columns, "_distance"]).to_arrow()

    @property
    def _is_current(self) -> bool:
        return bool(self._metadata["version"] == str(FORMAT.version))

    def _renew(self) -> None:
        """Write a table of release 0.1.0 as this release does; readers see the old one until it is complete."""
        wanted = schema(self.width, self._metadata | {"version": str(FORMAT.version)})
        database = self._connect()
        with self._lance(), writing(self.path), self._lock():
            # Read under the lock: what another writer adds in between would be lost.
            rows = self._table.to_arrow().to_pylist()
            stored = (from_row(row, np.asarray(row["vector"], np.float32)) for row in rows)
            database.create_table(_TABLE, data=to_rows(stored, self.model, wanted), mode="overwrite")
        self._open(database)

    def scans(self) -> list[str]:
        """Names of all scans."""
        if self._table is None:
            return []
        with self._lance():
            column = self._table.search().select(["scan"]).limit(len(self)).to_arrow()["scan"]
            return sorted(column.unique().to_pylist())

    def optimize(self) -> None:
        """Merge small files, and build a vector index where it pays (from 20,000 objects on)."""
        from lancedb.index import IvfRq

        with self._lance(), writing(self.path), self._lock():
            rows = len(self)
            self._table.optimize(cleanup_older_than=timedelta(days=7))
            if rows >= VECTOR_INDEX_FROM and self._without_index() > _STALE * rows:
                config = IvfRq(distance_type="cosine", num_bits=_BITS, target_partition_size=_PARTITION)
                self._table.create_index("vector", config=config, replace=True)

    def _without_index(self) -> int:
        names = [index.name for index in self._table.list_indices() if index.columns == ["vector"]]
        if not names:
            return len(self)
        stats = self._table.index_stats(names[0])
        return 0 if stats is None else int(stats.num_unindexed_rows)

    def _require_space(self, model: str, width: int, create: bool) -> None:
        if self._table is None and create:
            self._create(model, width)
        if self.model != model or self.width != width:
            raise InputError(
                f"has vectors of {self.model} ({self.width} wide), these are of {model} ({width} wide)",
                source=self.path,
                field="model",
                fix="use an index per model: vectors of two models cannot be compared",
            )

    def _create(self, model: str, width: int) -> None:
        metadata = {"format": FORMAT.name, "version": str(FORMAT.version), "model": model}
        with writing(self.path):
            if self._is_local:
                Path(self.path).mkdir(parents=True, exist_ok=True)
            database = self._connect()
            with self._lock():
                database.create_table(_TABLE, schema=schema(width, metadata), exist_ok=True)
        self._open(database)

    def _connect(self) -> Any:
        import lancedb

        with self._lance():  # what another process adds is seen at once
            return lancedb.connect(self.path, read_consistency_interval=timedelta(0))

    def _open(self, database: Any) -> None:
        with self._lance():
            self._table = database.open_table(_TABLE)
            metadata = {k.decode(): v.decode() for k, v in (self._table.schema.metadata or {}).items()}
        version = metadata.get("version", "")
        document = {
            "format": metadata.get("format"),
            "version": int(version) if version.isdecimal() else None,
        }
        known = _BEFORE if document["version"] == _BEFORE.version else FORMAT
        known.require(document, self.path, fix="name a folder that clip2 index made")
        self._metadata = metadata

    def _merge(self, rows: Any) -> int:
        with self._lance(), writing(self.path), self._lock():
            done = self._table.merge_insert("id").when_not_matched_insert_all().execute(rows)
        return int(done.num_inserted_rows)

    def _lance(self) -> OneLine:
        return OneLine(self.path)

    def _lock(self) -> AbstractContextManager[object]:
        """One writer at a time: two that add the same object at once would both find it missing."""
        return FolderLock(Path(self.path), wait=True) if self._is_local else nullcontext()
