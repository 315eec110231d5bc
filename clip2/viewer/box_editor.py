"""Box of the selected object, moved, turned and resized by hand: handles in the scene and numbers in the panel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from clip2.viewer.corrections import move_box, settle_box
from clip2.viewer.page import Page, set_field
from data_prep.geometry import OrientedBox

_SMALLEST = 0.02  # side of a box, meters
_REACH = 0.8  # length of the handles as a share of the box's longest side


class BoxEditor:
    """Fields and handles that change one box; the panel's folder that is open gets the fields.

    Args:
        page: to add them to.
    """

    def __init__(self, page: Page) -> None:
        self._page = page
        self._number: int | None = None  # of the object whose box is edited
        self._gizmos: list[Any] = []
        gui = page.server.gui
        self._edit = gui.add_button("edit box", visible=False)
        self._center = gui.add_vector3("center (m)", (0.0, 0.0, 0.0), step=0.01, visible=False)
        self._size = gui.add_vector3(
            "size (m)", (1.0, 1.0, 1.0), min=(_SMALLEST,) * 3, step=0.01, visible=False
        )
        self._heading = gui.add_slider("heading (°)", -180.0, 180.0, 1.0, 0.0, visible=False)
        self._done = gui.add_button("box is right", visible=False)
        self._edit.on_click(lambda _: self.start())
        self._done.on_click(lambda _: page.change(self._finish))
        for field in (self._center, self._size, self._heading):
            field.on_update(self._on_field)
        page.followers.append(self._follow)

    def start(self) -> None:
        """Edit the box of the selected object."""
        with self._page.acting():
            self._stop()
            self._number = self._page.session.selected
            if self._number is None:
                return
            box = self._box()
            scale = _REACH * float(box.size.max())
            scene = self._page.server.scene
            # Along the ground and about the vertical; a second one lifts, as a box never tilts.
            self._gizmos = [
                scene.add_transform_controls(
                    "/box/ground", scale, active_axes=(True, True, False), depth_test=False
                ),
                scene.add_transform_controls(
                    "/box/up",
                    scale,
                    active_axes=(False, False, True),
                    disable_rotations=True,
                    depth_test=False,
                ),
            ]
            for gizmo in self._gizmos:
                gizmo.on_update(self._on_gizmo)
            self._show(box)
            self._follow()

    def _box(self) -> OrientedBox:
        assert self._number is not None
        return self._page.session.boxes[self._number]

    def _on_field(self, event: Any) -> None:
        if event.client is not None:  # otherwise the field follows the box
            center, size = np.array(self._center.value), np.maximum(self._size.value, _SMALLEST)
            turn = np.deg2rad(self._heading.value)
            self._move(lambda box: _turned(OrientedBox(center, size, box.rotation), turn))

    def _on_gizmo(self, event: Any) -> None:
        gizmo = event.target
        center = np.asarray(gizmo.position, np.float64) + self._page.session.content.origin
        w, x, y, z = gizmo.wxyz
        forward = Rotation.from_quat([x, y, z, w]).as_matrix()[:, 0]
        turn = float(np.arctan2(forward[1], forward[0]))
        self._move(lambda box: _turned(OrientedBox(center, box.size, box.rotation), turn), gizmo)

    def _move(self, change: Callable[[OrientedBox], OrientedBox], held: Any = None) -> None:
        with self._page.acting():
            if self._number is None or self._number != self._page.session.selected:
                return
            box = change(self._box())
            move_box(self._page.session, self._number, box)
            self._show(box, held)
            self._page.mark()

    def _show(self, box: OrientedBox, held: Any = None) -> None:
        """Let fields and handles follow the box, except the handle that a person holds."""
        set_field(self._center, tuple(box.center.round(3).tolist()))
        set_field(self._size, tuple(box.size.round(3).tolist()))
        set_field(self._heading, float(np.rad2deg(box.yaw).round()))
        half = box.yaw / 2
        for gizmo in self._gizmos:
            if gizmo is not held:
                gizmo.position = self._page.session.content.centered(box.center)
                gizmo.wxyz = (np.cos(half), 0.0, 0.0, np.sin(half))

    def _finish(self) -> None:
        if self._number is not None:
            settle_box(self._page.session, self._number)
        self._stop()

    def _stop(self) -> None:
        self._number = None
        for gizmo in self._gizmos:
            gizmo.remove()
        self._gizmos = []

    def _follow(self) -> None:
        selected = self._page.session.selected
        if self._number is not None and self._number != selected:
            self._stop()
        editing = self._number is not None
        self._edit.visible = selected is not None and not editing
        for field in (self._center, self._size, self._heading, self._done):
            field.visible = editing


def _turned(box: OrientedBox, yaw: float) -> OrientedBox:
    """The box with another heading."""
    turn = Rotation.from_euler("z", yaw - box.yaw).as_matrix()
    return OrientedBox(box.center, box.size, turn @ box.rotation)
