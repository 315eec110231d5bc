"""The ``clip2`` command. One file per subcommand; heavy imports happen inside ``run``."""

import warnings

from clip2.cli.main import main

# `python -m clip2.cli.main` runs that module a second time, which runpy finds worth a warning. It holds no state.
warnings.filterwarnings("ignore", r"'clip2\.cli\.main' found in sys\.modules", RuntimeWarning)

__all__ = ["main"]
