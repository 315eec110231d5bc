"""Clouds that no label fits, for outlier exposure."""
