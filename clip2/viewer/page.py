"""Page that the parts of the panel share: viser's server, the session, what is drawn of it, and one lock."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from clip2.viewer.appearance import Appearance
from clip2.viewer.panel import message_html
from clip2.viewer.picking import Eye
from clip2.viewer.session import Session
from clip2.viewer.stage import Stage, first_look
from data_prep.errors import InputError
from data_prep.storage.extras import require_extra

if TYPE_CHECKING:
    from viser import ClientHandle, ViserServer

_log = logging.getLogger(__name__)


class Page:
    """Everything that a part of the panel needs of the others.

    Args:
        title: of the page.
        session: state of the page.
        most_points: drawn at once.

    Attributes:
        lock: held by whoever changes the session or the stage; viser calls back from many threads.
        server: of viser, on the loopback.
        appearance: colors of the session.
        stage: what is drawn.
        followers: called after every change of the session, in order; each part of the panel adds its own.
        marks: which of boxes, names and ids are drawn.
    """

    def __init__(self, title: str, session: Session, most_points: int) -> None:
        self.title, self.session = title, session
        self.lock = threading.RLock()
        self.server = _start_server()
        self.appearance = Appearance(session)
        self.stage = Stage(self.server, most_points)
        self.followers: list[Callable[[], None]] = []
        self.marks = {"boxes": True, "names": True, "ids": False}
        gui = self.server.gui
        gui.configure_theme(dark_mode=True, show_logo=False, show_share_button=False, control_width="medium")
        self.server.scene.world_axes.visible = False
        self._status = gui.add_html("")
        self._complaint = gui.add_html("")

    def close(self) -> None:
        """Stop serving."""
        with redirect_stdout(io.StringIO()):
            self.server.stop()

    def look(self) -> None:
        """Set where visitors look from when they come."""
        content = self.session.content
        camera = self.server.initial_camera
        camera.position, camera.look_at = first_look(
            content.centered(content.points),
            content.centered(content.T_world_points[:3, 3]) if content.views else None,
        )
        camera.up = (0.0, 0.0, 1.0)

    def refresh(self) -> None:
        """Draw colors and marks again, and let every part of the panel follow the session."""
        self.stage.recolor(self.appearance)
        self.mark()
        self.refresh_panel()

    def refresh_panel(self) -> None:
        """Let every part of the panel follow the session."""
        for follow in self.followers:
            follow()
        content = self.session.content
        count = len(content.objects)
        objects = f" · {count} objects" if count else ""
        notes = "".join(f" · {note}" for note in content.notes)
        self.say(f"{self.title} · {len(content.points):,} points{objects}{notes}")

    def mark(self) -> None:
        """Draw boxes and captions again."""
        with self.lock:
            self.stage.mark(self.appearance, **self.marks)

    def say(self, text: str) -> None:
        """Show one line at the top of the panel."""
        self._status.content = message_html(text)

    def warn(self, text: str) -> None:
        """Show one line below it until the next action; "" takes it away."""
        self._complaint.content = message_html(text, warning=True)

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Carry out what a person asked for, one at a time; bad input is shown and must not end the program."""
        with self.lock, self.complaints():
            self.warn("")
            yield

    @contextmanager
    def complaints(self) -> Iterator[None]:
        """Show bad input on the page."""
        try:
            yield
        except InputError as error:
            self.warn(str(error))
            _log.warning("clip2: warning: %s", error)

    def change(self, action: Callable[[], object]) -> None:
        """Carry out a change of the session and draw what follows."""
        with self.acting():
            action()
            self.refresh()


def set_field(field: Any, value: object) -> None:
    """Set what a field of the panel shows; viser declares it read-only for type checkers."""
    field.value = value


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
