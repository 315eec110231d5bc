"""Page of the viewer: panel and callbacks in viser over a :class:`~clip2.viewer.session.Session`."""

from __future__ import annotations

import io
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from clip2.viewer import panel
from clip2.viewer.crops import crops_of
from clip2.viewer.moments import Moments
from clip2.viewer.naming import Vocabulary
from clip2.viewer.picking import Eye
from clip2.viewer.saving import save_labels
from clip2.viewer.session import Session
from clip2.viewer.stage import Stage, first_look
from clip2.viewer.suggestions import complete
from data_prep.errors import InputError
from data_prep.storage.extras import require_extra

if TYPE_CHECKING:
    from viser import ClientHandle, ViserServer

_log = logging.getLogger(__name__)
_TYPING = 0.15  # s without a key after which a text is taken over
_REST = 0.35  # s without a move after which all points are drawn again
_MODES = {
    "color": "color",
    "height": "height",
    "intensity": "intensity",
    "object": "object",
    "similarity": "similarity to labels",
    "heat": "heat of labels",
}


class ViewerApp:
    """The page of one scan, result or map.

    Args:
        title: of the page.
        moments: to show; a slider scrubs through more than one.
        vocabulary: gives what objects are named with, when the first are known; None: they cannot be named.
        labels: typed at the start.
        out: folder for saved labels.
        root: folder of the scan, which names of images are relative to.
        source: reader of the scan.
        most_points: drawn at once.

    Attributes:
        port: of the loopback, where viser listens.
        session: state of the page.
        stage: what is drawn.
    """

    def __init__(
        self,
        title: str,
        moments: Moments,
        vocabulary: Callable[[], Vocabulary] | None = None,
        labels: str = "",
        out: Path = Path("view-labels"),
        root: Path = Path(),
        source: str = "cloud",
        most_points: int = 2_000_000,
    ) -> None:
        self.title, self.moments, self.out, self.root, self.source = title, moments, out, root, source
        self._vocabulary = vocabulary
        self._lock = threading.RLock()
        self._turn = 0  # of the text that is being typed
        self._moved = 0.0
        self._adding: Callable[[], None] | None = None
        self._position = 0
        self._edited: dict[int, tuple[Any, Any]] = {}  # contents and edits of moments with corrections
        self._server = _start_server()
        self.port = self._server.get_port()
        self.session = Session(moments.bare(0))
        self.stage = Stage(self._server, most_points)
        self._build(labels)
        self._look()
        self.stage.draw(self.session, ground=False)
        self._base_size = self.stage.point_size
        self._refresh_panel()
        self._server.on_client_connect(self._greet)
        threading.Thread(target=self._find_objects, name="clip2-view", daemon=True).start()

    def close(self) -> None:
        """Stop the page."""
        _set(self._playing, False)
        with redirect_stdout(io.StringIO()):
            self._server.stop()

    def clients(self) -> list[ClientHandle]:
        """The visitors."""
        return list(self._server.get_clients().values())

    # Panel.

    def _build(self, labels: str) -> None:
        gui = self._server.gui
        gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False, control_width="medium")
        self._server.scene.world_axes.visible = False
        self._status = gui.add_html("")
        self._labels = gui.add_text("labels", labels, hint="What to look for, separated by commas")
        self._suggestions = gui.add_button_group("", ("…",), visible=False)
        self._rejected = gui.add_html("")
        self._score = gui.add_slider("score ≥", 0.0, 1.0, 0.01, 0.0, hint="Less probable names are left out")
        self._alarms = gui.add_slider(
            "false alarms",
            0.01,
            0.6,
            0.01,
            0.15,
            hint="Share of known objects that may be called unknown: higher means that more is unknown",
        )
        self._rivals = gui.add_checkbox(
            "against all labels",
            True,
            hint="All labels of the model compete with those typed; off: every object gets the best of those typed",
        )
        self._mode = gui.add_dropdown("color by", ("height",))
        self._legend = gui.add_html("")
        self._build_object()
        if len(self.moments) > 1:
            with gui.add_folder("Time"):
                self._time = gui.add_slider("frame", 0, len(self.moments) - 1, 1, 0)
                self._playing = gui.add_checkbox("play", False)
                self._pace = gui.add_slider("per second", 0.5, 20.0, 0.5, 4.0)
            self._time.on_update(lambda _: self._go(int(self._time.value)))
            self._playing.on_update(lambda _: self._play())
        else:
            self._playing = gui.add_checkbox("play", False, visible=False)
        self._build_show()
        self._build_save()
        self._labels.on_update(lambda _: self._type())
        self._suggestions.on_click(lambda _: self._complete())
        self._score.on_update(lambda _: self._change(lambda: self.session.set_threshold(self._score.value)))
        self._alarms.on_update(
            lambda _: self._change(lambda: self.session.set_false_alarms(self._alarms.value))
        )
        self._rivals.on_update(
            lambda _: self._change(lambda: self.session.set_against_all(self._rivals.value))
        )
        self._mode.on_update(lambda _: self._color())
        self._server.scene.on_click()(self._click)

    def _build_object(self) -> None:
        gui = self._server.gui
        with gui.add_folder("Object") as self._folder:
            self._details = gui.add_html(panel.message_html("Click an object."))
            self._alike = gui.add_button("find more like this", icon=None, visible=False)
            self._alike_list = gui.add_html("")
            self._name = gui.add_text("label", "", hint="A label for the selected object, or for a new one")
            self._rename = gui.add_button("set label", visible=False)
            self._remove = gui.add_button("not an object", visible=False)
            self._add = gui.add_button_group("add", ("by click", "by rectangle"))
            self._hint = gui.add_html("")
        self._alike.on_click(lambda _: self._find_alike())
        self._rename.on_click(lambda _: self._correct(lambda n: self.session.rename(n, self._name.value)))
        self._remove.on_click(lambda _: self._correct(self.session.remove))
        self._add.on_click(lambda _: self._start_adding(self._add.value == "by rectangle"))

    def _build_show(self) -> None:
        gui = self._server.gui
        with gui.add_folder("Show", expand_by_default=False):
            self._boxes = gui.add_checkbox("boxes", True)
            self._names = gui.add_checkbox("names", True)
            self._ids = gui.add_checkbox("ids", False)
            self._cameras = gui.add_checkbox("cameras", False)
            self._ground = gui.add_checkbox("ground", True)
            self._point_size = gui.add_slider("point size", 0.2, 5.0, 0.1, 1.0)
            self._detail = gui.add_slider("detail", 0.05, 1.0, 0.05, 1.0, hint="Share of the points drawn")
        for box in (self._boxes, self._names, self._ids):
            box.on_update(lambda _: self._mark())
        self._cameras.on_update(lambda _: self._locked(self._show_cameras))
        self._ground.on_update(lambda _: self._locked(self._show_layers))
        self._detail.on_update(lambda _: self._locked(self._show_layers))
        self._point_size.on_update(lambda _: self._locked(self._resize))

    def _build_save(self) -> None:
        gui = self._server.gui
        with gui.add_folder("Save", expand_by_default=False):
            buttons = {
                "picture (PNG)": self._save_picture,
                "objects (JSON)": self._save_json,
                "page (HTML)": self._save_page,
                "labels for training": self._save_labels,
            }
            for text, action in buttons.items():
                gui.add_button(text).on_click(_with_client(action, self._complaints))
            self._saved = gui.add_html("")

    # What happens.

    def _find_objects(self) -> None:
        """Recognize the present moment, in the background."""
        position = self._position
        if self._vocabulary is None and self.moments.is_known(position):
            with self._lock:
                self._present(self.moments.full(position))
            return
        self._say("finding objects …")
        with self._complaints():
            began = time.perf_counter()
            content = self.moments.full(position)
            vocabulary = None if self._vocabulary is None else self._vocabulary()
            with self._lock:
                if position != self._position:
                    return
                self.session.vocabulary = vocabulary
                self._present(content)
                _log.info("objects found in %.2f s", time.perf_counter() - began)

    def _present(self, content: Any) -> None:
        """Show the objects of the present moment."""
        content, edits = self._edited.get(self._position, (content, None))
        first = not len(self.session.content.objects)
        self.session.show(content, edits)
        if self.session.vocabulary is not None:
            with self._complaints():
                self.session.ask(self._labels.value)
        if first and len(content.objects):
            if self.session.labels:
                self.session.mode = "similarity"
            elif content.colors is None and self.session.mode == "height":
                self.session.mode = "object"
        self.stage.draw(self.session, self._drawn_size())
        self._mark()
        self._refresh_panel()

    def _go(self, position: int) -> None:
        with self._lock:
            if position == self._position and len(self.session.content.objects):
                return
            self._keep_edits()
            self._position = position
            known = self.moments.is_known(position)
            if not known:
                self.session.show(self.moments.bare(position))
                self.stage.draw(self.session, self._drawn_size(), ground=False)
                self._mark()
        if known:
            with self._lock:
                self._present(self.moments.full(position))
        else:
            self._find_objects()
        self._locked(self._show_cameras)

    def _play(self) -> None:
        """Go on from moment to moment until the box is unchecked; objects are found on the way."""
        while self._playing.value:
            began = time.perf_counter()
            following = (self._position + 1) % len(self.moments)
            _set(self._time, following)
            self._go(following)
            time.sleep(max(0.02, 1 / self._pace.value - (time.perf_counter() - began)))

    def _type(self) -> None:
        self._turn += 1
        mine, typed = self._turn, self._labels.value
        time.sleep(_TYPING)
        if mine != self._turn:
            return
        with self._lock, self._complaints():
            if self.session.vocabulary is None:
                return
            offered = self.session.suggestions(typed)
            if offered:
                self._suggestions.options = tuple(offered)
            self._suggestions.visible = bool(offered)
            before = self.session.labels
            self.session.ask(typed)
            unknown = ", ".join(self.session.rejected)
            told = f"The model has no vector for: {unknown}" if unknown else ""
            if self.session.unfinished:
                told = f"Finish it with a comma: {unknown}"
            self._rejected.content = panel.message_html(told, warning=not self.session.unfinished)
            if self.session.labels != before:
                if self.session.labels and self.session.mode not in ("similarity", "heat"):
                    self.session.mode = "similarity"
                self._refresh()

    def _complete(self) -> None:
        _set(self._labels, complete(self._labels.value, self._suggestions.value))
        self._suggestions.visible = False
        self._type()

    def _change(self, action: Callable[[], object]) -> None:
        with self._lock, self._complaints():
            action()
            self._refresh()

    def _color(self) -> None:
        with self._lock:
            chosen = [mode for mode, text in _MODES.items() if text == self._mode.value]
            if chosen and chosen[0] != self.session.mode:
                self.session.mode = chosen[0]  # type: ignore[assignment]
                self.stage.recolor(self.session)
                self._refresh_panel()

    def _click(self, event: Any) -> None:
        with self._lock, self._complaints():
            if self._adding is not None:
                point = self.session.pick(event.ray_origin, event.ray_direction, self.stage.shown)
                self._adding()
                if point is not None:
                    self._added(lambda: self.session.add_by_click(point, self._name.value))
                return
            self.session.click(event.ray_origin, event.ray_direction, self.stage.shown)
            self._select()

    def _select(self) -> None:
        _set(self._name, "")
        self._alike_list.content = ""
        if self.session.reference is not None:
            self.session.compare_with(None)
            self.stage.recolor(self.session)
        self._mark()
        self._refresh_panel()

    def _find_alike(self) -> None:
        with self._lock:
            number = self.session.selected
            if number is None:
                return
            alike = self.session.compare_with(number)
            self.session.mode = "similarity"
            self._refresh()
            self._alike_list.content = panel.alike_html(self.session, alike)

    def _correct(self, action: Callable[[int], None]) -> None:
        with self._lock, self._complaints():
            if self.session.selected is not None:
                action(self.session.selected)
                self._keep_edits()
                self._refresh()

    def _start_adding(self, rectangle: bool) -> None:
        scene = self._server.scene
        if self._adding is not None:
            self._adding()
        if not self._name.value.strip():
            self._hint.content = panel.message_html("First type the label of the new object.", warning=True)
            return
        if rectangle:

            def on_rectangle(event: Any) -> None:
                with self._lock, self._complaints():
                    stop()
                    eye = eye_of(event.client)
                    self._added(
                        lambda: self.session.add_by_rectangle(
                            eye, event.screen_min, event.screen_max, self._name.value
                        )
                    )

            scene.on_rect_select()(on_rectangle)

            def stop() -> None:
                scene.remove_rect_select_callback(on_rectangle)
                self._stop_adding()

            self._adding = stop
            self._hint.content = panel.message_html("Drag a rectangle around the object.")
        else:
            self._adding = self._stop_adding
            self._hint.content = panel.message_html("Click the object.")

    def _stop_adding(self) -> None:
        self._adding = None
        self._hint.content = ""

    def _added(self, add: Callable[[], int]) -> None:
        add()
        self._keep_edits()
        self._refresh()

    def _keep_edits(self) -> None:
        edits = self.session.edits
        if edits.given or edits.removed:
            self._edited[self._position] = (self.session.content, edits)

    # What is saved.

    def _save_picture(self, client: ClientHandle) -> None:
        camera = client.camera
        image = client.get_render(camera.image_height, camera.image_width, transport_format="png", timeout=30)
        file = io.BytesIO()
        picture = Image.fromarray(image)
        ground = Image.new("RGB", picture.size, (26, 27, 30))  # the page's own background
        ground.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
        ground.save(file, "PNG")
        client.send_file_download("view.png", file.getvalue(), save_immediately=True)

    def _save_json(self, client: ClientHandle) -> None:
        with self._lock:
            document = json.dumps(self.session.result().to_json()).encode()
        client.send_file_download("result.json", document, save_immediately=True)

    def _save_page(self, client: ClientHandle) -> None:
        self._server.initial_camera.position = client.camera.position
        self._server.initial_camera.look_at = client.camera.look_at
        page = self._server.scene.as_html(dark_mode=True)
        client.send_file_download("view.html", page.encode(), save_immediately=True)

    def _save_labels(self, client: ClientHandle) -> None:
        with self._lock:
            self._keep_edits()
            now = self._position
            moments = {}
            for position, (content, edits) in {
                **self._edited,
                now: (self.session.content, self.session.edits),
            }.items():
                if position != now:
                    self.session.show(content, edits)
                found = (content, self.session.annotations(), self.session.labeled())
                moments[self.moments.titles[position]] = found
                if position != now:
                    self.session.show(*self._edited.get(now, (self.moments.full(now), None)))
            written = save_labels(self.out, self.root, self.source, moments)
        objects = sum(len(found) for _, found, _ in moments.values())
        text = f"{objects} labels of {len(moments)} frames: {', '.join(map(str, written))}"
        self._saved.content = panel.message_html(text)

    # What is drawn.

    def _refresh(self) -> None:
        self.stage.recolor(self.session)
        self._mark()
        self._refresh_panel()

    def _refresh_panel(self) -> None:
        session = self.session
        texts = [_MODES[mode] for mode in session.modes]
        if session.mode not in session.modes:
            session.mode = session.modes[0]
        if list(self._mode.options) != texts:
            self._mode.options = tuple(texts)
        if self._mode.value != _MODES[session.mode]:
            _set(self._mode, _MODES[session.mode])
        self._legend.content = panel.legend_html(session.legend()) if len(session.content.objects) else ""
        number = session.selected
        self._details.content = (
            panel.message_html("Click an object.")
            if number is None
            else panel.object_html(session, number, crops_of(session.content, number))
        )
        for button in (self._alike, self._rename, self._remove):
            button.visible = number is not None
        count = len(session.content.objects)
        objects = f" · {count} objects" if count else ""
        notes = "".join(f" · {note}" for note in session.content.notes)
        self._say(f"{self.title} · {len(session.content.points):,} points{objects}{notes}")

    def _mark(self) -> None:
        with self._lock:
            self.stage.mark(self.session, self._boxes.value, self._names.value, self._ids.value)

    def _show_cameras(self) -> None:
        self.stage.show_cameras(self.session, self._cameras.value)

    def _show_layers(self) -> None:
        self.stage.ground_shown, self.stage.detail = self._ground.value, self._detail.value
        self.stage.show_layers()

    def _resize(self) -> None:
        self.stage.resize(self._base_size * self._point_size.value)

    def _drawn_size(self) -> float:
        return self._base_size * self._point_size.value

    def _look(self) -> None:
        content = self.session.content
        position, look_at = first_look(
            content.centered(content.points),
            content.centered(content.T_world_points[:3, 3]) if content.views else None,
        )
        self._server.initial_camera.position = position
        self._server.initial_camera.look_at = look_at
        self._server.initial_camera.up = (0.0, 0.0, 1.0)

    def _greet(self, client: ClientHandle) -> None:
        client.camera.on_update(lambda _: self._on_move())

    def _on_move(self) -> None:
        """Draw fewer points while the view turns, and all again soon after."""
        self._moved = moved = time.monotonic()
        self.stage.set_moving(True)
        time.sleep(_REST)
        if self._moved == moved:
            self.stage.set_moving(False)

    def _say(self, text: str) -> None:
        self._status.content = panel.message_html(text)

    def _locked(self, action: Callable[[], None]) -> None:
        with self._lock:
            action()

    @contextmanager
    def _complaints(self) -> Iterator[None]:
        """Show bad input on the page: what a person types must not end the program."""
        try:
            yield
        except InputError as error:
            self._hint.content = panel.message_html(str(error), warning=True)
            _log.warning("clip2: warning: %s", error)


def _set(field: Any, value: object) -> None:
    """Set what a field of the panel shows; viser declares it read-only for type checkers."""
    field.value = value


def _with_client(
    action: Callable[[ClientHandle], None], complaints: Callable[[], Any]
) -> Callable[[Any], None]:
    def run(event: Any) -> None:
        if event.client is not None:
            with complaints():
                action(event.client)

    return run


def eye_of(client: ClientHandle) -> Eye:
    """The view of one visitor."""
    w, x, y, z = client.camera.wxyz
    return Eye(
        np.asarray(client.camera.position),
        Rotation.from_quat([x, y, z, w]).as_matrix(),
        client.camera.fov,
        client.camera.aspect,
    )


def _start_server() -> ViserServer:
    viser = require_extra("viser", "viewer", needed_for="clip2 view")

    class Server(viser.ViserServer):  # type: ignore[name-defined]
        """A server that never leaves this machine: viser's own can be shared through a public relay."""

        def request_share_url(self, verbose: bool = True) -> None:
            """Refuse to share the page."""

    with redirect_stdout(io.StringIO()):  # it would print an address that is not the gate's
        server: ViserServer = Server(host="127.0.0.1", port=0, verbose=False)
    return server
