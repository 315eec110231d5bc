"""The terminal, shown nothing of others but text."""

from __future__ import annotations

from collections.abc import Iterable

import rich.console
from rich.segment import Segment

from data_prep.errors import printable


class Console(rich.console.Console):
    """A console that writes control characters as their escapes.

    Labels, names of files and captions come with data, and a terminal obeys what is in them: it renames its window, hides lines,
    or fills the clipboard.
    """

    def render(
        self, renderable: rich.console.RenderableType, options: rich.console.ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Segments of a renderable, without control characters of its own."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable():
                yield segment
            else:
                yield Segment(printable(segment.text), segment.style)
