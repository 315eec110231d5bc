"""The ``clip2`` command. One file per subcommand; heavy imports happen inside ``run``."""

from clip2.cli.main import main

__all__ = ["main"]
