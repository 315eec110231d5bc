"""What data cannot do to the terminal."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.table import Table

from clip2.cli import main
from clip2.cli.terminal import Console
from data_prep.errors import InputError
from data_prep.triplets import write_triplets
from tests.data_prep.triplets.test_shards import make_triplet

HOSTILE = "mug\x1b]0;gone\x07\x9b31m\u202e"


def test_a_table_shows_escapes_and_obeys_none() -> None:
    table = Table("label")
    table.add_row(HOSTILE)
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=True, color_system="standard", width=80)
    console.print(table)
    console.print(HOSTILE, style="red")
    assert shown.getvalue().count("mug\\x1b") == 2
    assert "\x1b]0;" not in shown.getvalue()
    assert not set("\x07\x9b\u202e") & set(shown.getvalue())
    assert "\x1b[31m" in shown.getvalue()  # its own color stays


def test_an_error_line_is_clean_and_short() -> None:
    line = str(
        InputError(f"is {HOSTILE}" + "x" * 10_000, source=f"{HOSTILE}.ply", field="key" * 1000, fix="look")
    )
    assert line.isprintable()
    assert len(line) < 1500
    assert line.endswith("Fix: look")


def test_labels_of_a_set_in_inspect(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_triplets(tmp_path / "set", [make_triplet(0, texts=(HOSTILE,))], source="toy")
    assert main(["inspect", str(tmp_path / "set")]) == 0
    shown = capsys.readouterr().out
    assert "mug" in shown
    assert all(char.isprintable() or char == "\n" for char in shown)
