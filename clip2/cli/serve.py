"""``clip2 serve``: recognition over HTTP."""

from __future__ import annotations

import functools
import ipaddress
import os
import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from clip2.cli.model_options import ModelOptions, print_notice, teacher_notice
from clip2.server.limits import Limits
from data_prep.errors import InputError
from data_prep.storage.extras import require_extra

if TYPE_CHECKING:
    from fastapi import FastAPI


@dataclass(kw_only=True)
class Serve:
    """Answer over HTTP: a cloud or an RGB-D image in, named boxes out.

    /docs lists the endpoints. Log lines are JSON on standard error. SIGTERM and Ctrl-C finish the requests that began.
    """

    options: ModelOptions
    limits: Limits = field(default_factory=Limits)
    host: str = "127.0.0.1"
    """Address to listen on; 0.0.0.0 for all. Other machines can then ask: give a token."""
    port: int = 8000
    """Port to listen on; 0 for any free one."""
    workers: int = 1
    """Processes that share the port, each with its own model."""
    token: str | None = None
    """Secret that requests must carry as "Authorization: Bearer TOKEN". Default: the variable CLIP2_TOKEN, which, unlike
    an option, other users of this machine cannot see."""

    def run(self) -> int:
        """Serve until stopped."""
        for module in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
            require_extra(module, "server", needed_for="clip2 serve")
        from clip2.server.run import serve

        self.limits.check()
        limits = self.limits if self.workers == 1 else replace(self.limits, max_maps=0)
        if self.workers < 1:
            raise InputError(f"is {self.workers}", field="--workers", fix="give 1 or more")
        if not 0 <= self.port <= 65535:
            raise InputError(f"is {self.port}", field="--port", fix="give 0 to 65535")
        token = os.environ.get("CLIP2_TOKEN") if self.token is None else self.token
        if token is not None and not (
            token.isascii() and token.isprintable() and token.strip() == token != ""
        ):
            raise InputError("is empty or holds other characters than ASCII", field="--token")
        make_app = functools.partial(make_server_app, self.options, limits, token)
        if self.workers == 1:
            app = make_app()  # a model that cannot be loaded is one line, not a traceback of uvicorn
            make_app = functools.partial(_same, app)
        if not is_loopback(self.host) and token is None:
            print_notice(f"Anyone who reaches {self.host}:{self.port} can use this server: give --token.")
        serve(make_app, self.host, self.port, self.workers, limits, _announce)
        return 0


def make_server_app(options: ModelOptions, limits: Limits, token: str | None) -> FastAPI:
    """The app of one worker."""
    from clip2.server.app import create_app

    model = options.load_model()
    print_notice(teacher_notice(model))
    return create_app(model, options.text_source(model), options.labels, limits, token)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _same(app: FastAPI) -> FastAPI:
    return app


def _announce(address: str) -> None:
    print(
        f"clip2 answers at {address}, its endpoints are listed at {address}/docs", flush=True, file=sys.stdout
    )
