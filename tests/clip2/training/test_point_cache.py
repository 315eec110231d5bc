"""The mapped files hold what the shards hold, once, and go when the shards change."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
import torch
from support.training_shapes import surface, unit_rows

from clip2.preprocessing import Preprocessing
from clip2.teacher import TextBank, embed_triplets
from clip2.training import TrainConfig, load_training_set
from clip2.training.batches import BatchMaker
from clip2.training.clouds import Block, Clouds
from clip2.training.point_cache import CACHE, open_point_cache, quantize
from data_prep.errors import InputError
from data_prep.triplets import Provenance, Triplet, open_triplets, write_triplets

WORDS = ("ball", "box", "pipe")
MODEL = "ViT-B-32/openai"


def write(folder: Path, seeds: range, colored: bool = True, center: float = 0.0) -> Path:
    """Objects of three kinds, every other one colored, in shards of four."""
    triplets = []
    for seed in seeds:
        random = np.random.default_rng(seed)
        points = surface(seed % 3, random, 30 + seed) + np.float32(center)
        colors = random.integers(0, 256, points.shape, dtype=np.uint8) if colored and seed % 2 else None
        where = Provenance(source="test", frame=f"{seed // 2:06d}", center=(0.0, 0.0, 0.0))
        triplets.append(Triplet(f"t{seed}", points, colors, None, (WORDS[seed % 3],), where))
    write_triplets(folder, triplets, source="test", objects_per_shard=4)
    embed_triplets(folder, bank=TextBank(WORDS, unit_rows(3), MODEL))
    return folder


def sorted_rows(points: np.ndarray) -> np.ndarray:
    return points[np.lexsort(points.T)]


def test_mapped_objects_are_those_of_the_shards(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", range(9))
    exact, mapped = load_training_set([folder]), load_training_set([folder], cache=True)
    assert mapped.clouds.home == "files"
    assert exact.clouds.home == "memory"
    assert mapped.frames.tolist() == exact.frames.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4]
    assert mapped.has_color.tolist() == exact.has_color.tolist()
    assert mapped.clouds.nbytes == 9 * sum(30 + seed for seed in range(9))  # 6 bytes of place, 3 of color
    for i in range(9):
        (points, colors), (near, same_colors) = exact.cloud(i), mapped.cloud(i)
        size = np.ptp(points, axis=0)
        middle = points.min(axis=0) + size / 2
        assert np.abs(points - middle - near).max() <= size.max() / 4096
        assert (colors is None) == (same_colors is None)
        if colors is not None and same_colors is not None:
            assert np.array_equal(colors, same_colors)


@pytest.mark.parametrize("size", [1e-6, 0.02, 2.0, 2000.0, 1e8])
def test_no_coordinate_is_off_by_more_than_a_4096th_of_the_size(size: float) -> None:
    points = (np.random.default_rng(0).uniform(-size / 2, size / 2, (5000, 3)) + size).astype(np.float32)
    small, scale = quantize(points)
    middle = (points.min(axis=0).astype(float) + points.max(axis=0)) / 2
    assert np.abs(small).max() <= 1
    error = np.abs(small.astype(float) * scale - (points - middle)).max()
    assert error <= size / 4096
    if size == 2:
        assert error < 0.0005  # half a millimeter


def test_the_same_stored_values_give_the_same_batches(tmp_path: Path) -> None:
    """Mapped in two folders, or the same values as arrays in memory: a batch cannot tell."""
    folders = [write(tmp_path / "a", range(9)), write(tmp_path / "b", range(20, 25), colored=False)]
    mapped = load_training_set(folders, cache=True)
    whole = [mapped.clouds.cloud(i) for i in range(len(mapped))]
    in_memory = Clouds.gather([points for points, _ in whole], [colors for _, colors in whole])
    object.__setattr__(plain := load_training_set(folders), "clouds", in_memory)
    config = TrainConfig()
    makers = [
        BatchMaker(data, Preprocessing(num_points=32), config.augmentation, torch.device("cpu"))
        for data in (mapped, plain)
    ]
    rows = np.array([13, 0, 9, 4, 4, 8, 1])
    (one, targets), (other, other_targets) = (maker.make(rows, seed=3) for maker in makers)
    for a, b in zip(one[:4], other[:4], strict=True):
        assert torch.equal(a, b)
    assert torch.equal(targets.text_ids, other_targets.text_ids)
    assert not torch.equal(one.points, makers[0].make(rows, seed=4)[0].points)


def test_the_second_time_no_shard_is_read(tmp_path: Path) -> None:
    triplets = open_triplets(write(tmp_path / "a", range(5)))
    told: list[tuple[int, int]] = []
    open_point_cache(triplets, 64, lambda done, total: told.append((done, total)))
    assert told == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]
    for shard in triplets.shards:
        (tmp_path / "a" / shard.name).write_bytes(b"gone")
    assert len(open_point_cache(triplets, 64).problems) == 5


def test_fewer_points_are_a_part_of_more(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", range(3))
    many, few = (load_training_set([folder], max_points=m, cache=True) for m in (4096, 16))
    assert few.clouds.count.tolist() == [16] * 3
    assert many.fingerprint() != few.fingerprint()
    assert few.fingerprint() == load_training_set([folder], max_points=16, cache=True).fingerprint()
    assert len(list((folder / CACHE).glob("points-*"))) == 2


def test_changed_shards_get_a_new_cache_and_the_old_one_goes(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", range(4))
    before = load_training_set([folder], cache=True)
    (old,) = (folder / CACHE).glob("points-*")
    write(tmp_path / "b", range(4), center=3.0)
    for file in folder.iterdir():
        if file.name != CACHE:
            shutil.move(file, tmp_path)
    for file in (tmp_path / "b").iterdir():
        shutil.move(file, folder)
    after = load_training_set([folder], cache=True)
    (new,) = (folder / CACHE).glob("points-*")
    assert new != old
    assert before.fingerprint() != after.fingerprint()
    assert len(before.cloud(3)[0]) == 33  # what is mapped stays readable


def test_a_damaged_cache_is_written_again(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", range(4))
    first = load_training_set([folder], cache=True)
    (place,) = (folder / CACHE).glob("points-*")
    whole = first.cloud(2)[0]
    for name in ("points.f16", "colors.u8", "objects.npz", "index.json"):
        os.truncate(place / name, 5)
        assert np.array_equal(load_training_set([folder], cache=True).cloud(2)[0], whole)


def test_what_is_no_object_or_has_no_word_is_left_out_as_without_a_cache(tmp_path: Path) -> None:
    good = surface(0, np.random.default_rng(0), 40)
    clouds = [good, np.ones((6, 3), np.float32), good[:1], good, good]
    texts = ["ball", "ball", "ball", "unheard of", "ball"]
    triplets = [
        Triplet(f"t{i}", cloud, None, None, (text,), Provenance(frame=f"{i}", center=(0.0, 0.0, 0.0)))
        for i, (cloud, text) in enumerate(zip(clouds, texts, strict=True))
    ]
    write_triplets(tmp_path / "a", triplets, source="test")
    embed_triplets(tmp_path / "a", bank=TextBank(WORDS, unit_rows(3), MODEL))
    exact, mapped = load_training_set([tmp_path / "a"]), load_training_set([tmp_path / "a"], cache=True)
    assert len(mapped) == 2
    assert dict(mapped.left_out) == dict(exact.left_out)
    assert len(mapped.left_out) == 3
    assert mapped.frames.tolist() == exact.frames.tolist()
    assert not mapped.clouds.has_colors


def test_sets_of_several_folders_are_joined_without_copying(tmp_path: Path) -> None:
    folders = [write(tmp_path / "a", range(3)), write(tmp_path / "b", range(10, 14), colored=False)]
    data = load_training_set(folders, cache=True)
    assert len(data.clouds.blocks) == 2
    assert data.clouds.home == "files"
    alone = load_training_set([folders[1]], cache=True)
    assert np.array_equal(data.cloud(5)[0], alone.cloud(2)[0])
    few = data.select(np.array([5, 0]))
    assert np.array_equal(few.cloud(0)[0], data.cloud(5)[0])
    assert few.clouds.blocks[0].points is data.clouds.blocks[0].points


def test_a_folder_that_cannot_be_written_says_what_to_do(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", range(3))
    (folder / CACHE).write_text("in the way")
    with pytest.raises(InputError, match=r"data\.cache: .*is a file.*data\.cache=false"):
        load_training_set([folder], cache=True)


def _open(folder: Path) -> bytes:
    found = open_point_cache(open_triplets(folder), 64)
    return np.asarray(found.clouds.blocks[0].points).tobytes()


@pytest.mark.slow
def test_processes_that_start_together_write_it_once(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", range(12))
    with get_context("forkserver").Pool(3) as pool:
        found = pool.map(_open, [folder] * 3, chunksize=1)
    assert len(set(found)) == 1
    names = sorted(path.name.partition("-")[0] for path in (folder / CACHE).iterdir())
    assert names == [".lock", "points"]


def test_what_a_killed_process_left_is_swept_out(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", range(3))
    left = folder / CACHE / ".points-64-0123.x.part"
    left.mkdir(parents=True)
    (left / "points.f16").write_bytes(b"half")
    load_training_set([folder], cache=True)
    assert not left.exists()


@pytest.mark.slow
def test_killed_while_writing_nothing_half_done_counts(tmp_path: Path) -> None:
    folder = write(tmp_path / "a", range(12))
    script = (
        "import sys, time\n"
        "from clip2.training.point_cache import open_point_cache\n"
        "from data_prep.triplets import open_triplets\n"
        "def slow(done, total):\n"
        "    print(done, flush=True)\n"
        "    time.sleep(0.2)\n"
        f"open_point_cache(open_triplets({str(folder)!r}), 64, slow)\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    while worker.stdout.readline().strip() != "3":
        time.sleep(0.01)
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    assert list((folder / CACHE).glob("*.part"))
    assert len(load_training_set([folder], cache=True)) == 12
    assert not list((folder / CACHE).glob("*.part"))


def test_a_block_of_zeros_stands_for_objects_without_color() -> None:
    clouds = Clouds.join(
        [
            Clouds.of_block(Block(np.ones((2, 3), np.float32), None), np.array([2])),
            Clouds.gather([np.full((1, 3), 2, np.float32)], [np.full((1, 3), 9, np.uint8)]),
        ]
    )
    points, colors, offsets = clouds.fingerprint()
    assert points is not None
    assert colors is not None
    assert points[:, 0].tolist() == [1, 1, 2]
    assert colors[:, 0].tolist() == [0, 0, 9]
    assert offsets is not None
    assert offsets.tolist() == [0, 2, 3]
