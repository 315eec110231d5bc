"""Finds the subcommand, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol

import tyro
from rich.console import Console

from data_prep.errors import InputError

EXIT_OK, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 0, 2, 130

# Name → "module:Class". Each class is a dataclass of options with `run() -> int`; its docstring is the help text.
COMMANDS = {
    "demo": "clip2.cli.demo:Demo",
    "check": "clip2.cli.check:Check",
    "detect": "clip2.cli.detect:Detect",
    "prep": "clip2.cli.prep:Prep",
    "inspect": "clip2.cli.inspect:Inspect",
    "embed": "clip2.cli.embed:Embed",
    "train": "clip2.cli.train:Train",
    "classify": "clip2.cli.classify:Classify",
    "recognize": "clip2.cli.recognize:Recognize",
    "export": "clip2.cli.convert:Export",
    "info": "clip2.cli.info:Info",
}
# What these have done so far is kept, and the same command goes on from there.
_CONTINUE = ("demo", "detect", "prep", "embed", "export")


class Command(Protocol):
    """What a subcommand's dataclass offers."""

    def run(self) -> int:
        """Do it and return the exit code."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point. 0: done. 2: bad input or usage. 130: interrupted; some jobs continue when called again."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # Importing only the command that was asked for keeps start-up short.
    chosen = [arguments[0]] if arguments and arguments[0] in COMMANDS else list(COMMANDS)
    commands = {name: _load(COMMANDS[name]) for name in chosen}
    command = tyro.extras.subcommand_cli_from_dict(
        commands,  # type: ignore[arg-type]
        prog="clip2",
        args=arguments,
        description="Words for things in 3D: scans to triplets, training, open-vocabulary recognition.",
        config=(
            tyro.conf.OmitArgPrefixes,
            tyro.conf.OmitSubcommandPrefixes,
            tyro.conf.FlagCreatePairsOff,  # --json alone, no --no-json
        ),
    )
    try:
        return command.run()
    except InputError as error:
        Console(stderr=True, soft_wrap=True, highlight=False).print(f"clip2: {error}", markup=False)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        advice = "; run the same command again to continue" if arguments[0] in _CONTINUE else ""
        Console(stderr=True).print(f"clip2: interrupted{advice}")
        return EXIT_INTERRUPTED


def _load(target: str) -> type[Command]:
    module, name = target.split(":")
    return getattr(import_module(module), name)
