"""Pages to look at: one HTML file with tables, images and clouds that turn, readable without a network."""

from data_prep.report.cards import Card
from data_prep.report.charts import Bar, Spread
from data_prep.report.explorer import Measure
from data_prep.report.page import Page

__all__ = ["Bar", "Card", "Measure", "Page", "Spread"]
