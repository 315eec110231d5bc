"""Training from tar shards: every object once per pass, the same steps for any number of ranks and readers."""

from __future__ import annotations

import io
import shutil
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console
from support.stream_twin import OBJECTS, PER_SHARD, make_triplets

from clip2.training import TrainConfig, load_training_set, train
from clip2.training.sampler import ObjectSampler
from clip2.training.stream import ShardBlock, ShardCache, StreamedBatches
from data_prep.errors import BadDatasetError, InputError

Tiny = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def triplets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(make_triplets(tmp_path_factory.mktemp("stream") / "triplets"))


def test_a_streamed_set_is_the_one_in_memory(triplets: Path) -> None:
    streamed, here = load_training_set([triplets], stream=True), load_training_set([triplets])
    assert len(streamed) == OBJECTS - 1
    assert streamed.left_out == here.left_out == {"all points are the same place": 1}
    assert (streamed.has_color == here.has_color).all()
    for i in range(len(here)):
        points, colors = streamed.cloud(i)
        expected, expected_colors = here.cloud(i)
        assert (points == expected).all()
        assert (colors is None) == (expected_colors is None)
        assert colors is None or (colors == expected_colors).all()
    assert len(np.unique(streamed.frames)) == 12  # whole shards are held out


def sampler(
    count: int = 89, batch: int = 24, lanes: int = 6, weights: np.ndarray | None = None
) -> ObjectSampler:
    weights = np.ones(count) if weights is None else weights
    return ObjectSampler(np.arange(count), weights, batch, 3, np.arange(count) // PER_SHARD, lanes)


def test_no_object_is_repeated_or_dropped_in_a_pass() -> None:
    stream = sampler()
    drawn = np.concatenate([stream.batch(step) for step in range(89)])  # 24 passes, which end within batches
    for number in range(24):
        assert sorted(drawn[89 * number : 89 * (number + 1)]) == list(range(89))


def test_a_weight_says_how_often_an_object_comes_in_a_pass() -> None:
    weights = np.where(np.arange(90) < 30, 2.0, 0.5)
    counts = Counter(np.concatenate([sampler(90, 18, 6, weights).batch(step) for step in range(5)]).tolist())
    assert all(counts[i] == 2 for i in range(30))
    assert sum(counts.values()) == 90
    assert max(counts[i] for i in range(30, 90)) == 1


def test_a_lane_reads_a_shard_once_in_a_pass() -> None:
    stream = sampler(count=960, batch=24, lanes=6)
    batches = np.stack([stream.batch(step) for step in range(40)]).reshape(40, 6, 4)
    for lane in range(6):
        shards = batches[:, lane].ravel() // PER_SHARD
        changes = 1 + (np.diff(shards) != 0).sum()
        assert changes == len(np.unique(shards)) == 20
    # A batch mixes the shards of all lanes, and neighbors of a pass are not neighbors of the next.
    assert all(len(np.unique(batch // PER_SHARD)) >= 6 for batch in batches)
    assert not (stream.batch(0) == stream.batch(40)).all()


@pytest.mark.parametrize(("world", "workers"), [(1, 0), (2, 3), (3, 2), (6, 1)])
@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_ranks_and_readers_do_not_change_a_step(triplets: Path, world: int, workers: int) -> None:
    data = load_training_set([triplets], stream=True)
    here = load_training_set([triplets])
    stream = ObjectSampler(np.arange(89), np.ones(89), 24, 3, data.clouds.block, 6)
    first, last = 5, 12  # as after a resume
    for rank in range(world):
        batches = StreamedBatches(data.clouds, stream, rank, world, (first, last)).loader(workers)
        for step, clouds in zip(range(first, last), batches, strict=True):
            share = 24 // world
            rows = stream.batch(step)[rank * share : (rank + 1) * share]
            assert len(clouds) == share
            for i, row in enumerate(rows):
                assert (clouds.cloud(i)[0] == here.cloud(int(row))[0]).all()


STREAMED = ("data.stream=6", "loop.steps=9", "loop.checkpoint_every=4", "data.hold_out=0.2")


def test_it_trains_from_a_url_as_from_memory(
    tiny: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIP2_CACHE", str(tmp_path / "cache"))
    url = make_triplets(f"memory://stream-{time.monotonic_ns()}")
    config = tiny(*STREAMED, f"data.folders=['{url}']", "device.workers=2")
    said = io.StringIO()
    result = train(config, tmp_path / "streamed", console=Console(file=said, width=200))
    assert "read from the shards in every pass" in said.getvalue()
    assert result.metrics["objects_held_out"] in (15, 16)
    assert result.metrics["held_out/top1"] > 0.3
    assert not list((tmp_path / "cache").rglob("points*"))
    assert not (tmp_path / "cache" / "files").exists()
    # The same run on points in memory.
    data = load_training_set([url], stream=True)
    in_memory = replace(
        data, clouds=replace(data.clouds.in_memory(np.arange(len(data))), block=data.clouds.block)
    )
    blocks = (in_memory.clouds.blocks[0],) * len(data.clouds.blocks)
    train(
        config, tmp_path / "memory", data=replace(in_memory, clouds=replace(in_memory.clouds, blocks=blocks))
    )
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("streamed", "memory"))
    assert first == second


def test_a_shard_that_changes_while_it_is_read_is_one_line(
    triplets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        torch.utils.data._utils, "MP_STATUS_CHECK_INTERVAL", 0.2
    )  # torch waits so long for its processes
    shutil.copytree(triplets, tmp_path / "set")
    data = load_training_set([tmp_path / "set"], stream=True)
    shard = sorted((tmp_path / "set").glob("*.tar"))[2]
    altered = bytearray(shard.read_bytes())
    altered[5000] ^= 1  # within an array: the tar stays readable
    shard.write_bytes(altered)
    stream = ObjectSampler(np.arange(89), np.ones(89), 24, 3, data.clouds.block, 6)
    with pytest.raises(
        InputError, match=r"shard-000002.tar: is not what was written \(SHA-256 differs\)"
    ) as caught:
        for _ in StreamedBatches(data.clouds, stream, 0, 1, (0, 8)).loader(2):
            pass
    assert "\n" not in str(caught.value)


@contextmanager
def silent_server() -> Iterator[int]:
    """A server that takes connections and never answers."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


def test_a_store_that_stops_answering_is_one_line(triplets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_training_set([triplets], stream=True)
    (cache,) = {block.cache for block in data.clouds.blocks}
    cache.patience = 0.3
    with silent_server() as port:

        def hang(self: ShardBlock) -> None:
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.recv(1)

        monkeypatch.setattr(ShardBlock, "load", hang)
        stream = ObjectSampler(np.arange(89), np.ones(89), 24, 3, data.clouds.block, 6)
        with pytest.raises(
            InputError, match=r"shard-0000\d\d.tar: sends nothing for 0 s. Fix: check the network"
        ):
            next(StreamedBatches(data.clouds, stream, 0, 1, (0, 8)).loader(0))


def test_features_of_an_older_release_are_embedded_again(
    triplets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from clip2.training import packing

    real = packing.load_features
    monkeypatch.setattr(packing, "load_features", lambda *given: replace(real(*given), contents=None))
    with pytest.raises(InputError, match="run clip2 embed again"):
        load_training_set([triplets], stream=True)


def test_few_shards_stay_in_memory(triplets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = load_training_set([triplets], stream=True)
    (cache,) = {block.cache for block in data.clouds.blocks}
    stream = ObjectSampler(np.arange(89), np.ones(89), 6, 3, data.clouds.block, 2)
    held = []
    for _ in StreamedBatches(data.clouds, stream, 0, 1, (0, 14)).loader(0):
        held.append(len(cache._held))
    assert max(held) <= 8
    with pytest.raises(BadDatasetError, match="one frame"):
        replace(data, frames=np.zeros(len(data), np.int64)).split(0.1, 0)


@pytest.mark.parametrize("lanes", [5, 48])
def test_lanes_must_divide_the_batch(tiny: Tiny, lanes: int) -> None:
    with pytest.raises(InputError, match=r"must be a multiple of 1 devices and divide loop.batch_size 24"):
        tiny(f"data.stream={lanes}")


def test_a_cache_of_one_shard_reads_again(triplets: Path) -> None:
    data = load_training_set([triplets], stream=True)
    cache = ShardCache(capacity=1)
    blocks = data.clouds.blocks[:2]
    first = cache.get(blocks[0]).points.copy()
    cache.get(blocks[1])
    assert (cache.get(blocks[0]).points == first).all()
