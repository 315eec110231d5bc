"""Part of the panel that asks: labels with completion, sliders for names, and what the colors mean."""

from __future__ import annotations

import time

from clip2.viewer.appearance import MODE_TEXTS
from clip2.viewer.page import Page, set_field
from clip2.viewer.panel import legend_html, message_html
from clip2.viewer.suggestions import complete

_TYPING = 0.15  # s without a key after which a text is taken over


class Question:
    """Fields that decide which objects are named, and how they are colored.

    Args:
        page: to add them to.
        labels: typed at the start.
    """

    def __init__(self, page: Page, labels: str) -> None:
        self._page, self._turn = page, 0
        gui, session = page.server.gui, page.session
        # What stands there at the start is finished; what is typed is finished by its comma.
        labels = f"{labels.rstrip(', ')}, " if labels else ""
        self._labels = gui.add_text("labels", labels, hint="What to look for, separated by commas")
        self._suggestions = gui.add_button_group("", ("…",), visible=False)
        self._rejected = gui.add_html("")
        score = gui.add_slider("score ≥", 0.0, 1.0, 0.01, 0.0, hint="Less probable names are left out")
        alarms = gui.add_slider(
            "false alarms",
            0.01,
            0.6,
            0.01,
            0.15,
            hint="Share of known objects that may be called unknown: higher means that more is unknown",
        )
        rivals = gui.add_checkbox(
            "against all labels",
            True,
            hint="All labels of the model compete with those typed; off: every object gets the best of those typed",
        )
        self._mode = gui.add_dropdown("color by", ("height",))
        self._legend = gui.add_html("")
        self._labels.on_update(lambda _: self._type())
        self._suggestions.on_click(lambda _: self._complete())
        score.on_update(lambda _: page.change(lambda: session.set_threshold(score.value)))
        alarms.on_update(lambda _: page.change(lambda: session.set_false_alarms(alarms.value)))
        rivals.on_update(lambda _: page.change(lambda: session.set_against_all(rivals.value)))
        self._mode.on_update(lambda _: self._color())
        page.followers.append(self._follow)

    def ask(self) -> None:
        """Name the objects of the session by the labels that stand in the field."""
        if self._page.session.vocabulary is not None:
            with self._page.complaints():
                self._page.session.ask(self._labels.value)

    def _type(self) -> None:
        self._turn += 1
        mine, typed = self._turn, self._labels.value
        time.sleep(_TYPING)
        if mine != self._turn:
            return
        session, appearance = self._page.session, self._page.appearance
        with self._page.acting():
            if session.vocabulary is None:
                return
            offered = session.suggestions(typed)
            if offered:
                self._suggestions.options = tuple(offered)
            self._suggestions.visible = bool(offered)
            before = session.labels
            session.ask(typed)
            unknown = ", ".join(session.rejected)
            told = f"The model has no vector for: {unknown}" if unknown else ""
            if session.unfinished:
                told = f"Finish it with a comma: {unknown}"
            self._rejected.content = message_html(told, warning=not session.unfinished)
            if session.labels != before:
                if session.labels and appearance.mode not in ("similarity", "heat"):
                    appearance.mode = "similarity"
                self._page.refresh()

    def _complete(self) -> None:
        set_field(self._labels, complete(self._labels.value, self._suggestions.value))
        self._suggestions.visible = False
        self._type()

    def _color(self) -> None:
        appearance = self._page.appearance
        with self._page.lock:
            chosen = [mode for mode, text in MODE_TEXTS.items() if text == self._mode.value]
            if chosen and chosen[0] != appearance.mode:
                appearance.mode = chosen[0]
                self._page.stage.recolor(appearance)
                self._page.refresh_panel()

    def _follow(self) -> None:
        appearance = self._page.appearance
        texts = [MODE_TEXTS[mode] for mode in appearance.modes]
        if appearance.mode not in appearance.modes:
            appearance.mode = appearance.modes[0]
        if list(self._mode.options) != texts:
            self._mode.options = tuple(texts)
        if self._mode.value != MODE_TEXTS[appearance.mode]:
            set_field(self._mode, MODE_TEXTS[appearance.mode])
        found = len(self._page.session.content.objects)
        self._legend.content = legend_html(appearance.legend()) if found else ""
