"""The whole path on the embedded world, offline: ``clip2 demo``."""
