"""Killed commands; `python -m benchmarks.siege kills` kills all of them more than a hundred times."""

from __future__ import annotations

from pathlib import Path

import pytest
from siege.kills import JOBS, Siege, make_inputs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_a_killed_command_ends_as_if_it_had_not_been_killed(name: str, inputs: Path, tmp_path: Path) -> None:
    for killed in Siege(name, inputs, tmp_path / "job").kills(2):
        assert not killed.problem, f"{killed.victim} after {killed.moment} s: {killed.problem}"
