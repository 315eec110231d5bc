"""The whole path, offline, as a newcomer runs it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from clip2.cli import main
from clip2.demo.words import stand_in_bank
from clip2.recognition import Instances3D


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    assert main(["demo", "--quick", "--out", str(out)]) == 0
    return out


def test_it_leaves_a_page_that_says_what_stands_in_for_clip(demo: Path) -> None:
    html = (demo / "report.html").read_text()
    assert "No CLIP was used" in html
    assert "<canvas" in html or "data-cloud" in html or 'class="cloud"' in html


@pytest.mark.parametrize("setting", ["room", "street"])
def test_it_leaves_named_boxes(demo: Path, setting: str) -> None:
    found = Instances3D.from_json(demo / f"{setting}.json")
    assert len(found) > 0
    assert np.isfinite(found.boxes).all()
    assert (demo / f"{setting}.ply").stat().st_size > 0


def test_called_again_it_repeats_nothing_that_is_done(demo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shards = {path: path.stat().st_mtime_ns for path in demo.glob("triplets-*/*.tar")}
    weights = (demo / "run" / "model.safetensors").read_bytes()
    assert main(["demo", "--quick", "--out", str(demo), "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["mined"]["street"]["objects"] > 0
    assert shards == {path: path.stat().st_mtime_ns for path in demo.glob("triplets-*/*.tar")}
    assert weights == (demo / "run" / "model.safetensors").read_bytes()


def test_stand_in_words_are_unit_the_same_everywhere_and_unrelated() -> None:
    bank = stand_in_bank(["sofa", "couch", "bus"])
    assert np.allclose(np.linalg.norm(bank.embeddings, axis=1), 1, atol=1e-6)
    assert np.array_equal(bank.embeddings[0], stand_in_bank(["sofa"]).embeddings[0])
    # Random directions in 64 dimensions: cosines have standard deviation 1/8.
    assert abs(float(bank.embeddings[0] @ bank.embeddings[1])) < 0.5


def test_its_configuration_is_found_where_the_package_is_installed() -> None:
    assert files("clip2.demo").joinpath("train.yaml").is_file()
