"""Page with a search box over an index: each address with a query is answered by a page of hits."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qs, urlsplit

from clip2.search.index import Index
from clip2.search.page import add_hits
from clip2.teacher.text_source import TextSource
from data_prep.errors import InputError
from data_prep.report.page import FormField, Page

_MOST = 24  # hits on a page


class SearchBox:
    """Answers to requests of a browser; called with the target of each, such as ``/?q=red+mug&scan=kitchen``.

    Args:
        index: to search.
        text: source of label vectors, in the index's space.
        query: searched for where the address names no query.
        notice: limits of the model, shown with every result.

    Raises:
        InputError: an empty index.

    >>> import numpy as np, tempfile
    >>> import clip2
    >>> from clip2.search import StoredObject
    >>> model = clip2.load("mini-points")
    >>> (mug,) = model.text_source().embed_labels(["mug"])
    >>> index = Index(tempfile.mkdtemp() + "/db")
    >>> index.add([StoredObject(mug, np.ones(7), "mug", scan="kitchen")], model.teacher.name)
    1
    >>> b"similarity 1.000" in SearchBox(index, model.text_source())("/?q=mug")
    True
    """

    def __init__(self, index: Index, text: TextSource, query: str = "", notice: str = "") -> None:
        if not len(index):
            raise InputError("is an empty index", source=index.path, fix="fill it with clip2 index")
        self._index, self._text, self._query, self._notice = index, text, query, notice
        self._names: Sequence[str] = getattr(text, "names", ())
        self._scans = index.scans()

    def __call__(self, target: str) -> bytes:
        """The page (HTML) for a request; what cannot be searched for is said on it."""
        asked = {name: values[-1].strip() for name, values in parse_qs(urlsplit(target).query).items()}
        query, scan = asked.get("q", self._query), asked.get("scan", "")
        page = Page(
            query or self._index.path, f"{len(self._index):,} objects in {self._index.path}. {self._notice}"
        )
        fields = [
            FormField("q", "look for", query, self._names),
            FormField("scan", "in the scan (empty: all)", scan, self._scans),
        ]
        page.form(fields, "search")
        if query:
            try:
                (vector,) = self._text.embed_labels([query])
                hits = self._index.search(vector, self._text.model, _MOST, scan=scan or None)
            except InputError as error:
                page.paragraph(str(error))
            else:
                add_hits(page, hits)
        return page.html().encode()
