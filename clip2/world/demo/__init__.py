"""Offline demo of the whole path on the synthetic world: ``clip2 demo``."""
