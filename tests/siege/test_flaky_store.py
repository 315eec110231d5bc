"""An object store that refuses, hangs, cuts uploads and loses answers: a whole result or one line, and nothing is lost."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from support.flaky_s3 import FlakyS3, flaky_s3
from support.index_writers import SPACE, objects
from support.stream_twin import make_triplets
from support.triplet_stand_ins import mine_stand_ins

from clip2 import Index
from clip2.training import load_config, train
from data_prep.errors import InputError
from data_prep.storage import lease
from data_prep.storage.urls import open_url
from data_prep.triplets import open_triplets


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FlakyS3]:
    pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    with flaky_s3() as (url, layer):
        for name, value in {
            "ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "y", "DEFAULT_REGION": "us-east-1", "REGION": "us-east-1",
            "ENDPOINT_URL": url, "ENDPOINT": url, "ALLOW_HTTP": "true", "MAX_ATTEMPTS": "2",
        }.items():  # fmt: skip
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("OBJECT_STORE_CLIENT_MAX_RETRIES", "2")  # Lance's
        monkeypatch.setenv("CLIP2_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(s3fs.S3FileSystem, "read_timeout", 0.5)
        monkeypatch.setattr(lease, "BEAT", 0.05)
        monkeypatch.setattr(lease, "PATIENCE", 0.4)
        s3fs.S3FileSystem.clear_instance_cache()
        yield layer
        layer.reset()
        s3fs.S3FileSystem.clear_instance_cache()


def contents(url: str) -> dict[str, bytes]:
    system, base = fsspec.core.url_to_fs(url)
    system.invalidate_cache()
    return {name.rpartition("/")[2]: system.cat_file(name) for name in sorted(system.find(base))}


def ended(work: Callable[[], Any]) -> bool:
    """Whether it came to its end; otherwise it said why in one line."""
    line = ""
    try:
        work()
    except InputError as error:
        line = str(error)
    assert len(line) < 1500
    assert not line or line.isprintable()
    return not line


def until_it_ends(work: Callable[[], Any], store: FlakyS3) -> None:
    """Repeat the same command; the store is sound at last."""
    for _ in range(4):
        if ended(work):
            return
    store.reset()
    work()


def test_a_lease_is_ours_though_the_store_lost_the_answer(
    store: FlakyS3, caplog: pytest.LogCaptureFixture
) -> None:
    system, path = open_url("s3://bucket/lost/.lock")
    store.next_fault = "answer lost"
    held = lease.Lease(system, path, "set")
    assert store.done["answer lost"] == 1
    held.require()
    held.release()
    assert not system.exists(path)
    assert "has a writer" not in caplog.text


def test_a_damaged_lease_stops_its_writer_and_lets_the_next_one_in(store: FlakyS3) -> None:
    system, path = open_url("s3://bucket/damaged/.lock")
    held = lease.Lease(system, path, "set")

    def write_until_it_stops() -> None:
        for _ in range(100):  # a heartbeat may mend it in the same moment
            system.pipe_file(path, b'{"pid": ')
            time.sleep(0.06)
            held.require()

    with pytest.raises(InputError, match=r"^set: was taken over .* or its lock was damaged"):
        write_until_it_stops()
    held.release()
    following = lease.Lease(system, path, "set")
    following.require()
    following.release()
    assert not system.exists(path)


def mined(folder: Path) -> dict[str, bytes]:
    mine_stand_ins(folder)
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    "down_after", [7, *(pytest.param(n, marks=pytest.mark.slow) for n in (0, 3, 11, 20))]
)
def test_mining_into_a_store_that_goes_down(store: FlakyS3, tmp_path: Path, down_after: int) -> None:
    url = f"s3://bucket/down-{down_after}"
    store.reset(down_after=down_after)
    assert not ended(lambda: mine_stand_ins(url))  # type: ignore[arg-type]
    store.reset()
    if "manifest.json" in contents(url):
        open_triplets(url).verify()
    mine_stand_ins(url)  # type: ignore[arg-type]
    assert contents(url) == mined(tmp_path / "here")


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 30))])
def test_mining_into_a_flaky_store(store: FlakyS3, tmp_path: Path, seed: int) -> None:
    url = f"s3://bucket/flaky-{seed}"
    store.reset(share=0.25, seed=seed)
    until_it_ends(lambda: mine_stand_ins(url), store)  # type: ignore[arg-type]
    assert store.done
    store.reset()
    found = contents(url)
    found.pop(".lock", None)  # a lease that the store did not remove expires
    assert found == mined(tmp_path / "here")


@pytest.mark.slow
def test_an_index_in_a_flaky_store(store: FlakyS3) -> None:
    url = "s3://bucket/fleet"
    store.reset(share=0.15, seed=1)
    for number in range(3):
        until_it_ends(lambda seed=number: Index(url).add(objects(20, seed=seed), SPACE), store)  # type: ignore[misc]
        store.reset(share=0.15, seed=number + 2)
    store.reset(down_after=2)
    assert not ended(lambda: Index(url).add(objects(20, seed=3), SPACE))
    store.reset()
    index = Index(url)
    index.add(objects(20, seed=3), SPACE)
    assert len(index) == 80
    assert index.search(objects(20, seed=2)[7].embedding, SPACE)[0].object.box[1] == 2


@pytest.mark.slow
def test_training_from_a_flaky_store(store: FlakyS3, tmp_path: Path) -> None:
    url = make_triplets("s3://bucket/stream")
    settings = (
        "data.stream=6", "loop.steps=9", "loop.checkpoint_every=2", "data.hold_out=0.2", f"data.folders=['{url}']",
        "model.encoder.name=pointnet", "model.encoder.options={widths: [16, 32]}", "model.preprocessing.num_points=64",
        "loop.batch_size=24", "loop.loggers=[]", "device.accelerator=cpu", "device.threads=1",
    )  # fmt: skip
    config = load_config(None, list(settings))
    train(config, tmp_path / "sound")
    for down_after in (4, 15):
        store.reset(down_after=down_after)
        assert not ended(lambda: train(config, tmp_path / "flaky", resume=True))
    store.reset(share=0.1)
    until_it_ends(lambda: train(config, tmp_path / "flaky", resume=True), store)
    assert store.done
    first, second = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("sound", "flaky"))
    assert first == second
