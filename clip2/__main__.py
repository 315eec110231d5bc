"""``python -m clip2`` is the ``clip2`` command."""

import sys

from clip2.cli import main

sys.exit(main())
