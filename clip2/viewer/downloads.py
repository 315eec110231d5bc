"""Part of the panel that saves: picture, objects, the page itself, and labels for training."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from clip2.viewer.appearance import MODE_TEXTS
from clip2.viewer.corrections import labeled, to_annotations
from clip2.viewer.page import Page
from clip2.viewer.panel import message_html, with_legend
from clip2.viewer.saving import save_labels
from clip2.viewer.session import Session
from clip2.viewer.timeline import Timeline

if TYPE_CHECKING:
    from viser import ClientHandle

_GROUND = (26, 27, 30)  # the page's own background


class Downloads:
    """Buttons that save what the page shows.

    Args:
        page: to add them to.
        timeline: whose moments are saved as labels.
        out: folder for labels.
        root: folder of the scan, which names of images are relative to.
        source: reader of the scan.
    """

    def __init__(self, page: Page, timeline: Timeline, out: Path, root: Path, source: str) -> None:
        self._page, self._timeline = page, timeline
        self._out, self._root, self._source = out, root, source
        gui = page.server.gui
        with gui.add_folder("Save", expand_by_default=False):
            buttons: dict[str, Callable[[ClientHandle], None]] = {
                "picture (PNG)": self._save_picture,
                "objects (JSON)": self._save_json,
                "page (HTML)": self._save_page,
                "labels for training": self._save_labels,
            }
            for text, action in buttons.items():
                gui.add_button(text).on_click(self._for_client(action))
            self._saved = gui.add_html("")

    def _for_client(self, action: Callable[[ClientHandle], None]) -> Callable[[Any], None]:
        def run(event: Any) -> None:
            if event.client is not None:
                with self._page.complaints():
                    action(event.client)

        return run

    def _save_picture(self, client: ClientHandle) -> None:
        camera = client.camera
        image = client.get_render(camera.image_height, camera.image_width, transport_format="png", timeout=30)
        picture, file = Image.fromarray(image), io.BytesIO()
        ground = Image.new("RGB", picture.size, _GROUND)
        ground.paste(picture, mask=picture.getchannel("A") if picture.mode == "RGBA" else None)
        ground.save(file, "PNG")
        client.send_file_download("view.png", file.getvalue(), save_immediately=True)

    def _save_json(self, client: ClientHandle) -> None:
        with self._page.lock:
            document = json.dumps(self._page.session.result().to_json()).encode()
        client.send_file_download("result.json", document, save_immediately=True)

    def _save_page(self, client: ClientHandle) -> None:
        server, appearance = self._page.server, self._page.appearance
        with self._page.lock:
            server.initial_camera.position = client.camera.position
            server.initial_camera.look_at = client.camera.look_at
            page = with_legend(
                server.scene.as_html(dark_mode=True),
                self._page.title,
                MODE_TEXTS[appearance.mode],
                appearance.legend() if len(self._page.session.content.objects) else [],
            )
        client.send_file_download("view.html", page.encode(), save_immediately=True)

    def _save_labels(self, client: ClientHandle) -> None:
        with self._page.lock:
            now, moments = self._page.session, {}
            for title, (content, edits) in self._timeline.edited().items():
                session = now if content is now.content else Session.like(now, content, edits)
                moments[title] = (content, to_annotations(session), labeled(session))
            written = save_labels(self._out, self._root, self._source, moments)
        objects = sum(len(found) for _, found, _ in moments.values())
        text = f"{objects} labels of {len(moments)} frames: {', '.join(map(str, written))}"
        self._saved.content = message_html(text)
