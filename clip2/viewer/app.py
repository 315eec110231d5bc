"""Application of the viewer: the parts of the panel put together over one page."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clip2.viewer.downloads import Downloads
from clip2.viewer.drawing import Drawing
from clip2.viewer.inspector import Inspector
from clip2.viewer.moments import Moments
from clip2.viewer.naming import Vocabulary
from clip2.viewer.page import Page
from clip2.viewer.question import Question
from clip2.viewer.session import Session
from clip2.viewer.timeline import Timeline

if TYPE_CHECKING:
    from viser import ClientHandle


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
        page: what the parts of the panel share.
        session: state of the page.
        stage: what is drawn.
        timeline: which moment is shown.
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
        self.session = Session(moments.bare(0))
        self.page = page = Page(title, self.session, most_points)
        self.port, self.stage = page.server.get_port(), page.stage
        question = Question(page, labels)
        Inspector(page)
        self.timeline = Timeline(page, moments, vocabulary, question)
        Drawing(page)
        Downloads(page, self.timeline, out, root, source)
        page.look()
        page.stage.draw(page.appearance, ground=False)
        page.refresh_panel()
        threading.Thread(target=self.timeline.find_objects, name="clip2-view", daemon=True).start()

    def close(self) -> None:
        """Stop the page."""
        self.timeline.close()
        self.page.close()

    def clients(self) -> list[ClientHandle]:
        """The visitors."""
        return list(self.page.server.get_clients().values())
