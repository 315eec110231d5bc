"""What is promised durable is flushed before it gets its name, and its folder after."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.box_world import sweep
from support.flushes import recorded_flushes
from support.recognition_stand_ins import tiny_bank, tiny_model
from support.stream_twin import make_triplets
from support.triplet_stand_ins import mine_stand_ins

import clip2
from clip2.training import load_config, train


def not_durable(folder: Path, durable: set[Path]) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file() and path not in durable)


def test_mining(tmp_path: Path) -> None:
    with recorded_flushes() as record:
        mine_stand_ins(tmp_path / "out")
    assert record.problems == []
    assert not_durable(tmp_path / "out", record.durable) == []


def test_a_training(tmp_path: Path) -> None:
    folder = make_triplets(tmp_path / "set")
    settings = (
        f"data.folders=['{folder}']", "loop.steps=4", "loop.checkpoint_every=2", "loop.batch_size=24", "data.hold_out=0.2",
        "model.encoder.name=pointnet", "model.encoder.options={widths: [16, 32]}", "model.preprocessing.num_points=64",
        "device.accelerator=cpu", "device.threads=1", "loop.loggers=[]",
    )  # fmt: skip
    with recorded_flushes() as record:
        train(load_config(None, list(settings)), tmp_path / "run")
    assert record.problems == []
    assert not_durable(tmp_path / "run", record.durable) == []


def test_a_map(tmp_path: Path) -> None:
    object_map = clip2.ObjectMap(tiny_model(tiny_bank()))
    object_map.update(*sweep({0: ((4, 0, 0.5), (1, 1, 1)), 1: ((0, 5, 0.75), (0.4, 0.4, 1.5))}, 0.0))
    with recorded_flushes() as record:
        object_map.save(tmp_path / "map")
        object_map.save(tmp_path / "map")
    assert record.problems == []
    assert not_durable(tmp_path / "map", record.durable) == []


@pytest.mark.parametrize("forgotten", ["file", "folder"])
def test_what_is_forgotten_is_noticed(tmp_path: Path, forgotten: str) -> None:
    with recorded_flushes() as record, (tmp_path / "a.part").open("wb") as file:
        file.write(b"1")
        file.flush()
        if forgotten == "folder":
            os.fsync(file.fileno())
        os.replace(tmp_path / "a.part", tmp_path / "a")
        if forgotten == "file":
            folder = os.open(tmp_path, os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
    assert len(record.problems) == 1
    assert record.problems[0].startswith("a.part is not" if forgotten == "file" else str(tmp_path))
