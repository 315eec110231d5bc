"""Part of the panel that chooses what is drawn: marks, cameras, ground, and the level of detail."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from clip2.viewer.page import Page

if TYPE_CHECKING:
    from viser import ClientHandle

_REST = 0.35  # s without a move after which all points are drawn again


class Drawing:
    """Fields that show and hide, and fewer points while a view turns.

    Args:
        page: to add them to.
    """

    def __init__(self, page: Page) -> None:
        self._page, self._moved = page, 0.0
        gui, stage = page.server.gui, page.stage
        with gui.add_folder("Show", expand_by_default=False):
            marks = {name: gui.add_checkbox(name, shown) for name, shown in page.marks.items()}
            cameras = gui.add_checkbox("cameras", False)
            ground = gui.add_checkbox("ground", True)
            size = gui.add_slider("point size", 0.2, 5.0, 0.1, 1.0)
            detail = gui.add_slider("detail", 0.05, 1.0, 0.05, 1.0, hint="Share of the points drawn")

        def mark(_: object) -> None:
            page.marks.update({name: box.value for name, box in marks.items()})
            page.mark()

        for box in marks.values():
            box.on_update(mark)
        cameras.on_update(lambda _: self._locked(lambda: stage.show_cameras(page.session, cameras.value)))
        ground.on_update(lambda _: self._locked(lambda: stage.show_layers(ground=ground.value)))
        detail.on_update(lambda _: self._locked(lambda: stage.show_layers(detail=detail.value)))
        size.on_update(lambda _: self._locked(lambda: stage.resize(size.value)))

        def follow(client: ClientHandle) -> None:
            client.camera.on_update(lambda _: self._on_move())

        page.server.on_client_connect(follow)

    def _on_move(self) -> None:
        """Draw fewer points while the view turns, and all again soon after."""
        self._moved = moved = time.monotonic()
        self._page.stage.set_moving(True)
        time.sleep(_REST)
        if self._moved == moved:
            self._page.stage.set_moving(False)

    def _locked(self, action: Callable[[], None]) -> None:
        with self._page.lock:
            action()
