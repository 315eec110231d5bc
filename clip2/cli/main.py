"""Command line entry point: chooses the command, runs it, turns errors into one line and an exit code."""

from __future__ import annotations

import difflib
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import NamedTuple, Protocol

from data_prep.errors import InputError

_ROOM = "make room, then run the same again"
_OF_THE_MACHINE = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: _ROOM,
    errno.EROFS: "get the right to write there, then run the same again",
    errno.EACCES: "get the right to read and write there, then run the same again",
    errno.EMFILE: "raise the limit of open files (ulimit -n), then run the same again",
    errno.ENFILE: "close other programs, then run the same again",
}
EXIT_OK, EXIT_BAD_INPUT, EXIT_INTERRUPTED, EXIT_PIPE_CLOSED = 0, 2, 130, 141


class Entry(NamedTuple):
    """One command. ``clip2 --help`` reads this table alone, so that it imports no command."""

    target: str
    """``module:Class``: a dataclass of options with ``run() -> int``; its docstring is the help text."""
    summary: str
    continues: bool = False
    """Whether the same command continues a job that was interrupted."""


COMMANDS = {
    "demo": Entry("clip2.cli.demo:Demo", "the whole path on a synthetic world, offline", True),
    "auto": Entry("clip2.cli.auto:Auto", "your own scan to named objects, in one command", True),
    "check": Entry(
        "clip2.cli.check:Check", "find what is wrong with a scan: axes, poses, scale, calibration"
    ),
    "convert": Entry("clip2.cli.convert:Convert", "write any scan as a folder in our own layout", True),
    "detect": Entry("clip2.cli.detect:Detect", "detect objects in the images of a scan", True),
    "prep": Entry(
        "clip2.cli.prep:Prep", "mine triplets (points, crop, labels) from a scan and 2D boxes", True
    ),
    "label": Entry("clip2.cli.label:Label", "label a scan in 3D, as training data for 3D detectors", True),
    "inspect": Entry("clip2.cli.inspect:Inspect", "summarize a triplet set"),
    "embed": Entry("clip2.cli.embed:Embed", "compute and cache the CLIP features of triplets", True),
    "train": Entry("clip2.cli.train:Train", "train a point encoder on triplets"),
    "classify": Entry("clip2.cli.classify:Classify", "name the object in each cloud or mesh file"),
    "recognize": Entry("clip2.cli.recognize:Recognize", "find and name the objects of a scan"),
    "index": Entry("clip2.cli.index:IndexCommand", "put objects of scans into a searchable index", True),
    "search": Entry("clip2.cli.search:Search", "find objects of all indexed scans, by label, image or cloud"),
    "serve": Entry("clip2.cli.serve:Serve", "recognition over HTTP"),
    "map": Entry("clip2.cli.map:Map", "build a persistent map of named objects from a sequence or bag"),
    "export": Entry("clip2.cli.export:Export", "write a model as ONNX, for machines without torch"),
    "push": Entry("clip2.cli.push:Push", "upload a checkpoint with its model card to a model hub"),
    "fetch": Entry(
        "clip2.cli.fetch:Fetch", "download a public point encoder and the text tower of its CLIP", True
    ),
    "labels": Entry(
        "clip2.cli.labels:Labels", "make a bank of label vectors for machines without a text tower"
    ),
    "eval": Entry("clip2.cli.eval:Eval", "measure models with the benchmarks of the field", True),
    "view": Entry("clip2.cli.view:View", "look at a scan in a browser: type labels, correct, save"),
    "info": Entry("clip2.cli.info:Info", "show versions, devices and backends, or facts about a checkpoint"),
}


class Command(Protocol):
    """Interface of a command's dataclass."""

    def run(self) -> int:
        """Do the work and return the exit code."""
        ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv: command and options; None: the arguments of the process.

    Returns:
        0: done. 2: bad input or usage. 130: interrupted. 141: the reader of the output closed the pipe. Commands may
        return further codes.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_overview(), file=sys.stdout if arguments else sys.stderr)
        return EXIT_OK if arguments else EXIT_BAD_INPUT
    name = arguments[0]
    try:
        _require_known(name)
        code = _parse(name, arguments[1:]).run()
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # head and less close the pipe when they have seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE_CLOSED
    except InputError as error:
        print(f"clip2: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "clip2", "data_prep"):
            raise
        # requirements-mining.txt leaves out what only training and recognition need.
        print(
            f"clip2: {name} needs {package}, which is not installed. Fix: pip install clip2", file=sys.stderr
        )
        return EXIT_BAD_INPUT
    except OSError as error:
        fix = _OF_THE_MACHINE.get(error.errno or 0)
        if fix is None:
            raise
        where = f"{error.filename}: " if error.filename else ""
        print(f"clip2: {where}{error.strerror}. Fix: {fix}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        advice = "; run the same command again to continue" if COMMANDS[name].continues else ""
        print(f"clip2: interrupted{advice}", file=sys.stderr)
        return EXIT_INTERRUPTED


def load_command(name: str) -> type[Command]:
    """The dataclass of a command, imported now."""
    module, attribute = COMMANDS[name].target.split(":")
    command: type[Command] = getattr(import_module(module), attribute)
    return command


def _parse(name: str, arguments: Sequence[str]) -> Command:
    import tyro

    command = load_command(name)
    _require_source(name, command, arguments)
    return tyro.cli(
        command,
        prog=f"clip2 {name}",
        args=arguments,
        config=(
            tyro.conf.OmitArgPrefixes,
            tyro.conf.OmitSubcommandPrefixes,
            tyro.conf.FlagCreatePairsOff,  # --json alone, no --no-json
        ),
    )


def _require_known(name: str) -> None:
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, n=1)
        fix = f"did you mean clip2 {near[0]}?" if near else f"use one of {', '.join(COMMANDS)}"
        raise InputError(f"{name!r} is unknown", field="command", fix=fix)


def _require_source(name: str, command: type[Command], arguments: Sequence[str]) -> None:
    """Refuse a path where the reader's name belongs; the usage text alone would leave the reader's name open.

    Raises:
        InputError: the first argument is an existing path.
    """
    from clip2.cli.scan_options import ScanCommand

    if not (issubclass(command, ScanCommand) and arguments and Path(arguments[0]).exists()):
        return
    from data_prep.scans.sources import list_sources

    path = Path(arguments[0])
    if arguments[0] in list_sources():
        return
    reader = "rosbag" if path.suffix in (".bag", ".mcap") else "cloud" if path.is_file() else "SOURCE"
    known = f", SOURCE one of {', '.join(list_sources())}" if reader == "SOURCE" else ""
    raise InputError(
        f"{arguments[0]!r} is a path, but the reader's name comes first",
        field="SOURCE",
        fix=f"clip2 {name} {reader} {path} …{known}",
    )


def _overview() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {entry.summary}" for name, entry in COMMANDS.items())
    return (
        "usage: clip2 COMMAND [OPTIONS]\n\n"
        "Open-vocabulary names for objects in 3D: mine, train, recognize.\n\n"
        f"commands:\n{rows}\n\n"
        "clip2 COMMAND --help lists the options of a command."
    )
