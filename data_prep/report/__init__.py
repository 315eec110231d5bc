"""Self-contained HTML pages with tables, images, charts and 3D point clouds; no network needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from data_prep.report.cards import Card as Card
    from data_prep.report.cards import Measure as Measure
    from data_prep.report.charts import Bar as Bar
    from data_prep.report.charts import Spread as Spread
    from data_prep.report.page import Page as Page

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {
        "Bar": "data_prep.report.charts",
        "Card": "data_prep.report.cards",
        "Measure": "data_prep.report.cards",
        "Page": "data_prep.report.page",
        "Spread": "data_prep.report.charts",
    },
)
