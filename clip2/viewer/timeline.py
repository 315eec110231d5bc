"""Moments of the page over time: which one is shown, objects found in the background, and corrections of each."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from clip2.viewer.content import Content
from clip2.viewer.moments import Moments
from clip2.viewer.naming import Vocabulary
from clip2.viewer.page import Page, set_field
from clip2.viewer.question import Question
from clip2.viewer.session import Edits

_log = logging.getLogger(__name__)


class Edited(NamedTuple):
    """A moment as a person left it."""

    content: Content
    edits: Edits


class Timeline:
    """The moment that the page shows, with a slider where there are several.

    Args:
        page: to show it on.
        moments: to show.
        vocabulary: gives what objects are named with, when the first are known; None: they cannot be named.
        question: names the objects of each moment.
    """

    def __init__(
        self,
        page: Page,
        moments: Moments,
        vocabulary: Callable[[], Vocabulary] | None,
        question: Question,
    ) -> None:
        self._page, self.moments, self._vocabulary, self._question = page, moments, vocabulary, question
        self._position = self._shown = 0  # asked for, and that of the session
        self._edited: dict[int, Edited] = {}
        gui = page.server.gui
        if len(moments) == 1:
            self._playing = gui.add_checkbox("play", False, visible=False)
            return
        with gui.add_folder("Time"):
            self._slider = gui.add_slider("frame", 0, len(moments) - 1, 1, 0)
            self._playing = gui.add_checkbox("play", False)
            self._pace = gui.add_slider("per second", 0.5, 20.0, 0.5, 4.0)
        self._slider.on_update(lambda _: self.go(int(self._slider.value)))
        self._playing.on_update(lambda _: self._play())

    def close(self) -> None:
        """Stop playing."""
        set_field(self._playing, False)

    def find_objects(self) -> None:
        """Recognize the present moment."""
        position = self._position
        self._page.say("finding objects …")
        with self._page.complaints():
            began = time.perf_counter()
            content = self.moments.full(position)
            vocabulary = None if self._vocabulary is None else self._vocabulary()
            with self._page.lock:
                if position != self._position:
                    return
                self._page.session.vocabulary = vocabulary
                self._present(content)
                _log.info("objects found in %.2f s", time.perf_counter() - began)

    def edited(self) -> dict[str, Edited]:
        """Title → content and corrections of the present moment and of all that were corrected."""
        self._keep_edits()
        now = Edited(self._page.session.content, self._page.session.edits)
        found = {**self._edited, self._shown: now}
        return {self.moments.titles[position]: each for position, each in sorted(found.items())}

    def _keep_edits(self) -> None:
        session = self._page.session
        if session.edits:
            self._edited[self._shown] = Edited(session.content, session.edits)

    def _present(self, content: Content) -> None:
        """Show the objects of the present moment."""
        page, session, appearance = self._page, self._page.session, self._page.appearance
        self._keep_edits()
        first = not len(session.content.objects)
        session.show(*self._edited.get(self._position, (content, None)))
        self._shown = self._position
        self._question.ask()
        if first and len(content.objects):
            if session.labels and session.naming.wanted.any():  # otherwise all would be gray
                appearance.mode = "similarity"
            elif content.colors is None and appearance.mode == "height":
                appearance.mode = "object"
        page.stage.draw(appearance)
        page.mark()
        page.refresh_panel()

    def go(self, position: int) -> None:
        """Show another moment; its objects are found first if they are not known."""
        page = self._page
        with page.lock:
            if position == self._position and len(page.session.content.objects):
                return
            self._keep_edits()
            self._position = position
            if not self.moments.is_known(position):
                page.session.show(self.moments.bare(position))
                self._shown = position
                page.stage.draw(page.appearance, ground=False)
                page.mark()
            elif self._page.session.vocabulary is not None or self._vocabulary is None:
                self._present(self.moments.full(position))
                return
        self.find_objects()

    def _play(self) -> None:
        """Go on from moment to moment until the box is unchecked; objects are found on the way."""
        while self._playing.value:
            began = time.perf_counter()
            following = (self._position + 1) % len(self.moments)
            set_field(self._slider, following)
            self.go(following)
            time.sleep(max(0.02, 1 / self._pace.value - (time.perf_counter() - began)))
