"""Pages to look at: one HTML file with tables, images and clouds that turn, readable without a network."""

from data_prep.report.page import Card, Page

__all__ = ["Card", "Page"]
