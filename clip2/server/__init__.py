"""HTTP server: clouds in, named boxes out; and its Python client."""

from __future__ import annotations

from typing import TYPE_CHECKING

from data_prep.lazy import lazy_exports

if TYPE_CHECKING:
    from clip2.server.app import create_app as create_app
    from clip2.server.client import Client as Client
    from clip2.server.limits import Limits as Limits

# A robot that only asks a server imports neither torch nor FastAPI.
__getattr__, __dir__, __all__ = lazy_exports(
    __name__,
    {"Client": "clip2.server.client", "Limits": "clip2.server.limits", "create_app": "clip2.server.app"},
)
