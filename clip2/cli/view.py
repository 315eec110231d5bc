"""``clip2 view``: an interactive page of a scan, a result, a map, a triplet set or an index."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from clip2.cli.frame_choice import FrameOptions
from clip2.cli.model_options import ModelOptions
from clip2.cli.scan_options import CloudCommand
from data_prep.errors import InputError

if TYPE_CHECKING:
    from clip2.object_model import ObjectModel
    from clip2.teacher.text_source import TextSource
    from clip2.viewer.gate import Gate
    from clip2.viewer.moments import Moments
    from clip2.viewer.naming import Vocabulary

_log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class View(CloudCommand):
    """Look at a scan in a browser: orbit it, type labels, see objects light up, correct them, save.

    Prints an address and serves the page until Ctrl-C. From another machine, forward the port: ssh -L
    8080:localhost:8080 HOST.
    """

    target: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="SCAN|MAP|RESULT|TRIPLETS|DB")]
    """A cloud file; the root of a dataset that --source names; a JSON file of `clip2 recognize`; or a folder of
    `clip2 map`, `clip2 prep` or `clip2 index`."""
    options: ModelOptions
    source: str = "cloud"
    """Reader of SCAN: cloud, kitti, kitti-tracking, rgbd, sunrgbd …"""
    frame: FrameOptions = field(default_factory=FrameOptions)
    fuse: bool = False
    """Show the chosen frames as one cloud, if their poses share a world, instead of one after the other."""
    voxel: float = 0.02
    """With --fuse: side in meters of the voxels."""
    proposals: Literal["auto", "lidar", "room"] = "auto"
    """How objects are found in the cloud; auto decides by the scan's extent."""
    out: Path = Path("view-labels")
    """Folder for labels that are saved on the page."""
    max_points: int = 2_000_000
    """Draw at most this many points of a cloud."""
    host: str = "127.0.0.1"
    """Address to listen on. With another one than the loopback, a token is needed, which the printed address holds."""
    port: int = 8080
    """Port to listen on; 0: any that is free."""

    def run(self) -> int:
        """Serve until interrupted."""
        gate, close = self.start()
        self._print(gate)
        try:
            threading.Event().wait()
        finally:
            close()
        return 0

    def start(self) -> tuple[Gate, Any]:
        """Open the page.

        Returns:
            The gate, and a function that ends everything.

        Raises:
            InputError: nothing to view, options that do not fit, or a port in use.
        """
        from clip2.viewer.gate import LOOPBACK, Gate, new_token

        if self.max_points < 1:
            raise InputError(f"is {self.max_points}", field="--max-points", fix="give 1 or more")
        if not 0 <= self.port < 65536:
            raise InputError(f"is {self.port}", field="--port", fix="give 0 to 65535")
        self.app: ViewerApp | None = None
        token = None if self.host in LOOPBACK else new_token()
        page = self._gallery() or self._search_box()
        if page is not None:
            gate = Gate(self.host, self.port, page, token)
            return gate, gate.close
        moments, vocabulary = self._moments()
        Gate(self.host, self.port, b"").close()  # a port in use is found before the page is built

        from clip2.viewer.app import ViewerApp

        self.app = app = ViewerApp(
            self.target.name or str(self.target),
            moments,
            vocabulary,
            self.options.labels or "",
            self.out,
            self.target if self.target.is_dir() else self.target.parent,
            self.source,
            self.max_points,
        )
        gate = Gate(self.host, self.port, app.port, token)

        def close() -> None:
            gate.close()
            app.close()

        return gate, close

    def _print(self, gate: Gate) -> None:
        from clip2.viewer.gate import LOOPBACK

        if self.json:
            import json

            print(json.dumps({"url": gate.url, "port": gate.port}), flush=True)
            return
        print(gate.url, flush=True)
        if self.host in LOOPBACK:
            print(
                f"From another machine: ssh -L {gate.port}:localhost:{gate.port} HOST. Ctrl-C ends it.",
                flush=True,
            )
        else:
            _log.warning(
                "clip2: warning: the page is open to the network without encryption; whoever has this address, token "
                "included, can see the scan and save labels"
            )

    def _gallery(self) -> bytes | None:
        """The gallery of a triplet set; None if the target is none."""
        from data_prep.triplets.manifest import MANIFEST

        if not (self.target / MANIFEST).is_file():
            return None
        import tempfile

        from data_prep.report.gallery import write_gallery
        from data_prep.report.metrics import measure_triplets
        from data_prep.triplets import open_triplets

        triplets = open_triplets(self.target)
        with tempfile.TemporaryDirectory() as folder:
            page = write_gallery(triplets, measure_triplets(triplets), Path(folder) / "page.html")
            return page.read_bytes()

    def _search_box(self) -> Callable[[str], bytes] | None:
        """Pages of an index with a search box; None if the target is none."""
        if not (self.target / "objects.lance").is_dir():
            return None
        from clip2.cli.model_options import teacher_notice
        from clip2.search import Index
        from clip2.search.search_box import SearchBox

        index = Index(self.target)
        model, text = _Loader(self.options, index.model)()
        return SearchBox(index, text, self.options.labels or "", teacher_notice(model))

    def _moments(self) -> tuple[Moments, Any]:
        if self.target.suffix == ".json" and self.target.is_file():
            return self._result()
        if (self.target / "map.json").is_file():
            return self._map()
        from clip2.recognition import fuse_frames
        from clip2.viewer.moments import MOST_RECOGNIZED, moments_of_frame, moments_of_scan

        if self.source == "cloud" and not any(pair.startswith("most=") for pair in self.option):
            self.option = (
                *self.option,
                f"most={MOST_RECOGNIZED}",
            )  # 200 million points need not be in memory
        scan = self.open(self.target, self.source)
        chosen = self.frame.choose(scan)
        load = _Loader(self.options)
        if not self.fuse:
            return moments_of_scan(scan, chosen, load, self.proposals), load.vocabulary
        worlds = {scan.world_of(position) for position in chosen}
        if len(worlds) > 1 or (None in worlds and len(chosen) > 1):
            raise InputError(
                "has frames that are not one cloud", source=self.target, field="--fuse", fix="leave it out"
            )
        frame = fuse_frames((scan[position] for position in chosen), self.voxel)
        return moments_of_frame(frame, load, self.proposals), load.vocabulary

    def _map(self) -> tuple[Moments, Any]:
        """A folder of ``clip2 map``, over its frames."""
        from clip2.mapping import ObjectMap
        from clip2.viewer.map_moments import moments_of_map

        load = _Loader(self.options)
        model, text = load()
        return moments_of_map(ObjectMap.load(self.target, model, text=text)), load.vocabulary

    def _result(self) -> tuple[Moments, Any]:
        """A file of ``clip2 recognize`` and the cloud beside it."""
        from clip2.recognition import Instances3D
        from clip2.viewer.content import Content
        from clip2.viewer.moments import Moments
        from data_prep.scans import open_scan

        result = Instances3D.from_json(self.target)
        cloud = self.target.with_suffix(".ply")
        if not cloud.is_file():
            raise InputError(
                "has no cloud beside it",
                source=self.target,
                fix=f"put {cloud.name}, which was written with it, there",
            )
        points = open_scan("cloud", cloud)[0].world_points()
        content = Content.of_result(result, points)
        load = _Loader(self.options, result.model)
        return Moments([result.frame_id or self.target.stem], lambda _: content), load.vocabulary


class _Loader:
    """The model and its label vectors, loaded when they are first needed.

    Args:
        options: that name them.
        teacher: CLIP model that the vectors must belong to; "": any.
    """

    def __init__(self, options: ModelOptions, teacher: str = "") -> None:
        self._options, self._teacher = options, teacher
        self._loaded: tuple[ObjectModel, TextSource] | None = None
        self._lock = threading.Lock()

    def __call__(self) -> tuple[ObjectModel, TextSource]:
        with self._lock:
            if self._loaded is None:
                model = self._options.load_model()
                if self._teacher and model.teacher.name != self._teacher:
                    raise InputError(
                        f"matches {model.teacher.name}, the objects were made with {self._teacher}",
                        field="--model",
                        fix="give the model that the objects were made with",
                    )
                self._loaded = model, self._options.text_source(model)
            return self._loaded

    def vocabulary(self) -> Vocabulary:
        """What the model names objects with."""
        from clip2.viewer.naming import Vocabulary

        model, text = self()
        return Vocabulary(text, model.logit_scale, model.config.sizes, model.config.calibration)
