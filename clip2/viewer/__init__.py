"""Interactive page of a scan: objects light up by what is typed, can be inspected, corrected and saved."""

from data_prep.lazy import lazy_exports

__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {"Content": "clip2.viewer.content", "Session": "clip2.viewer.session"},
)
