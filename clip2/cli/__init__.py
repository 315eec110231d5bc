"""The ``clip2`` command: one file per subcommand, heavy imports inside ``run``."""

from clip2.cli.main import main

__all__ = ["main"]
