"""Scene of the page in viser: cloud in layers, boxes, captions, cameras."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from clip2.viewer.appearance import Appearance
from clip2.viewer.detail import layers, point_size
from clip2.viewer.session import Session

if TYPE_CHECKING:
    from viser import ViserServer

_IMAGE_SIDE = 320  # of a picture in a camera's frustum, pixels
_MOST_CAMERAS = 60
MOVING = 500_000  # points drawn while the view turns


class Stage:
    """What is drawn of a session.

    Args:
        server: of viser.
        most: points drawn in all.

    Attributes:
        parts: indices of the points of each drawn layer: the rest and the ground.
        clouds: handles of the drawn layers, coarse to fine: ground and the rest of each.
        boxes: handle of the lines, or None.
        captions: handles of the texts, by object.
    """

    def __init__(self, server: ViserServer, most: int) -> None:
        self._server, self._most = server, most
        self.parts: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        self._moving = False
        self.clouds: list[tuple[Any | None, Any | None]] = []
        self.boxes: Any | None = None
        self.captions: dict[int, Any] = {}
        self.cameras: list[Any] = []
        self._ground_shown, self._cameras_shown, self._detail = True, False, 1.0
        self._side, self._size = 0.0, 1.0  # of points, meters, and its multiple

    @property
    def shown(self) -> NDArray[np.int64]:
        """Indices of the points that are drawn."""
        parts = [part for pair in self.parts[: self._depth()] for part in pair[: 1 + self._ground_shown]]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    def draw(self, appearance: Appearance, ground: bool = True) -> None:
        """Replace the cloud; the coarsest layer goes first, so that there is a picture at once.

        Args:
            appearance: of the session to draw.
            ground: tell the ground from the rest, which takes a moment.
        """
        session, content = appearance.session, appearance.session.content
        points = content.centered(content.points)
        split = layers(len(points), self._most)
        if not self._side:  # so that the points close the surfaces; later moments keep it
            self._side = point_size(points[split[0]]) * (len(split[0]) / len(points)) ** 0.25
        side = self._side * self._size
        colors = appearance.colors()
        on_ground = session.ground if ground else np.zeros(len(points), bool)
        old, self.clouds, self.parts = self.clouds, [], []
        for number, layer in enumerate(split):
            pair, handles = (layer[~on_ground[layer]], layer[on_ground[layer]]), []
            for name, part in zip(("cloud", "ground"), pair, strict=True):
                handles.append(
                    self._server.scene.add_point_cloud(
                        f"/{name}/{number}",
                        points[part],
                        colors[part],
                        point_size=side,
                        point_shape="rounded",
                        point_shading="flat",
                        precision="float32",
                        visible=self._is_visible(number, name == "ground"),
                    )
                    if len(part)
                    else None
                )
            for kept, gone in zip(handles, old[number] if number < len(old) else (None, None), strict=True):
                if kept is None and gone is not None:
                    gone.remove()
            self.clouds.append((handles[0], handles[1]))
            self.parts.append(pair)
            self._server.flush()
        for pair in old[len(split) :]:
            for handle in pair:
                if handle is not None:
                    handle.remove()
        self.show_layers()
        self.show_cameras(session, self._cameras_shown)

    def recolor(self, appearance: Appearance) -> None:
        """Send the colors of the points again."""
        colors = appearance.colors()
        for handles, parts in zip(self.clouds, self.parts, strict=True):
            for handle, part in zip(handles, parts, strict=True):
                if handle is not None:
                    handle.colors = colors[part]

    def resize(self, factor: float) -> None:
        """Change the size of the points, as a multiple of that which closes the surfaces."""
        self._size = factor
        for pair in self.clouds:
            for handle in pair:
                if handle is not None:
                    handle.point_size = self._side * factor

    def set_moving(self, moving: bool) -> None:
        """Draw fewer points while the view turns."""
        if moving != self._moving:
            self._moving = moving
            self.show_layers()

    def show_layers(self, ground: bool | None = None, detail: float | None = None) -> None:
        """Apply the ground's visibility and the level of detail; None: as before."""
        self._ground_shown = self._ground_shown if ground is None else ground
        self._detail = self._detail if detail is None else detail
        for number, pair in enumerate(self.clouds):
            for handle, is_ground in zip(pair, (False, True), strict=True):
                visible = self._is_visible(number, is_ground)
                if handle is not None and handle.visible != visible:
                    handle.visible = visible

    def mark(self, appearance: Appearance, boxes: bool, names: bool, ids: bool) -> None:
        """Draw boxes and captions again."""
        lines, colors = appearance.edges()
        if len(lines) == 0 or not boxes:
            if self.boxes is not None:
                self.boxes.remove()
            self.boxes = None
        else:
            self.boxes = self._server.scene.add_line_segments(
                "/boxes", lines, colors, thickness=2.0, thickness_units="screen"
            )
        wanted = {caption.number: caption for caption in appearance.captions(names, ids)}
        for number in [number for number in self.captions if number not in wanted]:
            self.captions.pop(number).remove()
        for number, caption in wanted.items():
            handle = self.captions.get(number)
            if handle is not None and handle.text == caption.text:
                handle.position = caption.place
            else:
                self.captions[number] = self._server.scene.add_label(
                    f"/captions/{number}", caption.text, position=caption.place, anchor="bottom-center"
                )

    def show_cameras(self, session: Session, visible: bool) -> None:
        """Draw the frustums of the images, with the images in them."""
        for handle in self.cameras:
            handle.remove()
        self.cameras, self._cameras_shown = [], visible
        content = session.content
        if not visible:
            return
        extent = np.ptp(np.percentile(content.points, [10, 90], axis=0), axis=0).max()
        for number, view in enumerate(content.views[:_MOST_CAMERAS]):
            camera, step = view.camera, max(1, max(view.image.shape[:2]) // _IMAGE_SIDE)
            T_world_cam = content.T_world_points @ camera.T_points_cam
            x, y, z, w = Rotation.from_matrix(T_world_cam[:3, :3]).as_quat()
            self.cameras.append(
                self._server.scene.add_camera_frustum(
                    f"/cameras/{number}",
                    fov=float(2 * np.arctan2(camera.height / 2, camera.K[1, 1])),
                    aspect=camera.width / camera.height,
                    scale=float(np.clip(0.05 * extent, 0.1, 1.5)),
                    image=np.ascontiguousarray(view.image[::step, ::step]),
                    color=(120, 190, 255),
                    wxyz=(w, x, y, z),
                    position=content.centered(T_world_cam[:3, 3]),
                )
            )

    def _depth(self) -> int:
        """Number of layers that are drawn."""
        counts = np.cumsum([len(a) + len(b) for a, b in self.parts])
        if len(counts) == 0:
            return 0
        most = self._detail * counts[-1]
        if self._moving:
            most = min(most, MOVING)
        return max(1, int(np.searchsorted(counts, most * 1.001, side="right")))

    def _is_visible(self, number: int, is_ground: bool) -> bool:
        if is_ground and not self._ground_shown:
            return False
        return number >= len(self.parts) or number < self._depth()


def first_look(points: NDArray, viewpoint: NDArray | None) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where to look from and at when the page opens, in the axes of the points.

    A room seen by one camera opens as that camera saw it, from a little further back; a sweep and a fused cloud open
    from above.

    Args:
        points: (P, 3) meters, z up.
        viewpoint: (3,) position of the sensor, or None.
    """
    low, high = np.percentile(points, [10, 90], axis=0)
    center, radius = (low + high) / 2, max(float(np.linalg.norm(high - low)) / 2, 0.1)
    if viewpoint is not None:
        away = np.asarray(viewpoint, np.float64) - center
        distance = float(np.linalg.norm(away))
        if distance > 0.5 * radius and not ((low < viewpoint) & (viewpoint < high)).all():
            return center + away * (1 + 0.35 * radius / distance) + [0, 0, 0.15 * radius], center
    return center + radius * np.array([-1.1, -0.8, 0.9]), center
