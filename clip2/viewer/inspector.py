"""Part of the panel about one object: details, objects alike, and its corrections."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clip2.viewer.box_editor import BoxEditor
from clip2.viewer.corrections import add_by_box, add_by_click, add_by_rectangle, first_box, remove, rename
from clip2.viewer.crops import crops_of
from clip2.viewer.page import Page, eye_of, set_field
from clip2.viewer.panel import alike_html, message_html, object_html
from data_prep.errors import InputError


class Inspector:
    """Fields about the selected object.

    Args:
        page: to add them to.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._stop: Callable[[], None] | None = None  # ends the adding that has begun
        gui = page.server.gui
        with gui.add_folder("Object"):
            self._details = gui.add_html("")
            self._alike = gui.add_button("find more like this", icon=None, visible=False)
            self._alike_list = gui.add_html("")
            self._name = gui.add_text("label", "", hint="A label for the selected object, or for a new one")
            self._rename = gui.add_button("set label", visible=False)
            self._remove = gui.add_button("not an object", visible=False)
            self._boxes = BoxEditor(page)
            self._add = gui.add_button_group("add", ("by click", "by rectangle", "by box"))
            self._hint = gui.add_html("")
        self._alike.on_click(lambda _: self._find_alike())
        self._rename.on_click(lambda _: self._correct(lambda n: rename(page.session, n, self._name.value)))
        self._remove.on_click(lambda _: self._correct(lambda n: remove(page.session, n)))
        self._add.on_click(self._start_adding)
        page.server.scene.on_click()(self._click)
        page.followers.append(self._follow)

    def _click(self, event: Any) -> None:
        page, session = self._page, self._page.session
        with page.acting():
            if self._stop is None:
                session.click(event.ray_origin, event.ray_direction, page.stage.shown)
                self._select()
                return
            point = session.pick(event.ray_origin, event.ray_direction, page.stage.shown)
            self._stop()
            if point is not None:
                add_by_click(session, point, self._name.value)
                page.refresh()

    def _select(self) -> None:
        page = self._page
        set_field(self._name, "")
        self._alike_list.content = ""
        if page.session.reference is not None:
            page.session.compare_with(None)
            page.stage.recolor(page.appearance)
        page.mark()
        page.refresh_panel()

    def _find_alike(self) -> None:
        page, session = self._page, self._page.session
        with page.acting():
            if session.selected is None:
                return
            alike = session.compare_with(session.selected)
            page.appearance.mode = "similarity"
            page.refresh()
            self._alike_list.content = alike_html(session, alike)

    def _correct(self, action: Callable[[int], None]) -> None:
        number = self._page.session.selected
        if number is not None:
            self._page.change(lambda: action(number))

    def _start_adding(self, event: Any) -> None:
        if self._stop is not None:
            self._stop()
        with self._page.acting():
            if not self._name.value.strip():
                raise InputError("is empty", field="label", fix="type the label of the new object first")
            if self._add.value == "by click":
                self._stop = self._stop_adding
                self._hint.content = message_html("Click the object.")
            elif self._add.value == "by rectangle":
                self._await_rectangle()
                self._hint.content = message_html("Drag a rectangle around the object.")
            elif event.client is not None:
                self._place_box(np.asarray(event.client.camera.look_at))

    def _place_box(self, looked_at: NDArray[np.float64]) -> None:
        """Add a box where a visitor looks, to be moved to its place by hand."""
        session, label = self._page.session, self._name.value
        add_by_box(session, first_box(session, looked_at + session.content.origin, label), label)
        self._page.refresh()
        self._boxes.start()

    def _await_rectangle(self) -> None:
        page = self._page

        def add(event: Any) -> None:
            stop()
            corners = event.screen_min, event.screen_max
            page.change(
                lambda: add_by_rectangle(page.session, eye_of(event.client), *corners, self._name.value)
            )

        def stop() -> None:
            page.server.scene.remove_rect_select_callback(add)
            self._stop_adding()

        page.server.scene.on_rect_select()(add)
        self._stop = stop

    def _stop_adding(self) -> None:
        self._stop = None
        self._hint.content = ""

    def _follow(self) -> None:
        session = self._page.session
        number = session.selected
        self._details.content = (
            message_html("Click an object.")
            if number is None
            else object_html(session, number, crops_of(session.content, number))
        )
        for button in (self._rename, self._remove):
            button.visible = number is not None
        self._alike.visible = number is not None and session.is_encoded(number)
