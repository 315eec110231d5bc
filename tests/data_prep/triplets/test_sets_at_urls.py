"""Sets on stores that fsspec reaches: memory, and a server that speaks S3."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from support.scan_twins import write_kitti
from support.triplet_stand_ins import mine_stand_ins

from data_prep.errors import BadDatasetError, InputError
from data_prep.scale import create_engine
from data_prep.scans import open_scan
from data_prep.storage import lease
from data_prep.storage.urls import fetch
from data_prep.triplets import open_triplets
from data_prep.triplets.folder import Part
from data_prep.triplets.writer import TripletWriter


def in_folder(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def at_url(url: str) -> dict[str, bytes]:
    system, base = fsspec.core.url_to_fs(url)
    system.invalidate_cache()
    return {name.rpartition("/")[2]: system.cat_file(name) for name in sorted(system.find(base))}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLIP2_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def s3_server() -> Iterator[str]:
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of an empty bucket."""
    s3fs = pytest.importorskip("s3fs")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_server,
    }.items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    bucket = f"bucket-{time.monotonic_ns()}"
    s3fs.S3FileSystem().mkdir(f"/{bucket}")
    return f"s3://{bucket}/triplets"


@pytest.fixture
def memory() -> str:
    return f"memory://set-{time.monotonic_ns()}"


@pytest.fixture(params=["memory", "s3"])
def url(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param)


def test_a_set_at_a_url_has_the_bytes_of_one_in_a_folder(url: str, tmp_path: Path) -> None:
    mine_stand_ins(tmp_path / "here")
    mine_stand_ins(url, engine=create_engine(workers=2))  # type: ignore[arg-type]
    assert at_url(url) == in_folder(tmp_path / "here")
    found, here = open_triplets(url), open_triplets(tmp_path / "here")
    found.verify()
    assert [triplet.key for triplet in found] == [triplet.key for triplet in here]
    assert [entry.num_points for entry in found.iter_entries()] == [20] * 30
    # As a path it has lost a slash; command lines do that.
    assert len(open_triplets(Path(url))) == 30


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    mine_stand_ins(f"file://{tmp_path}/out", count=2)  # type: ignore[arg-type]
    assert (tmp_path / "out" / "manifest.json").is_file()
    assert len(open_triplets(tmp_path / "out")) == 6


class Stopped(Exception):
    """Stands for a kill."""


def stop_after(writes: int, url: str) -> Callable[[], None]:
    """Every write beyond that many raises; also what would tidy up, as a killed process does not."""
    system = type(fsspec.core.url_to_fs(url)[0])
    count = 0

    def counted(name: str, real: Any) -> Any:
        def call(*arguments: Any, **more: Any) -> Any:
            nonlocal count
            count += name != "rm_file"
            if count > writes:
                raise Stopped
            return real(*arguments, **more)

        return call

    patch = pytest.MonkeyPatch()
    for name in ("pipe_file", "put_file", "rm_file"):
        patch.setattr(system, name, counted(name, getattr(system, name)))
    return patch.undo


@pytest.mark.parametrize("writes", range(1, 12))
def test_stopped_before_any_write_it_continues_with_the_same_bytes(
    memory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: int
) -> None:
    mine_stand_ins(tmp_path)
    undo = stop_after(writes, memory)
    try:
        with pytest.raises(Stopped):
            mine_stand_ins(memory)  # type: ignore[arg-type]
    finally:
        undo()
    # Never a shard in the manifest that is not there whole.
    if "manifest.json" in at_url(memory):
        open_triplets(memory).verify()
    assert ".lock" in at_url(memory)
    monkeypatch.setattr(lease, "BEAT", 0.01)
    monkeypatch.setattr(lease, "PATIENCE", 0.05)
    mine_stand_ins(memory)  # type: ignore[arg-type]
    assert at_url(memory) == in_folder(tmp_path)


def test_other_options_at_the_same_url_are_rejected(url: str) -> None:
    mine_stand_ins(url, count=2)  # type: ignore[arg-type]
    before = at_url(url)
    with pytest.raises(BadDatasetError, match=r"margin: was 0.1, is 0.2 now"):
        mine_stand_ins(url, count=2, margin=0.2)  # type: ignore[arg-type]
    assert at_url(url) == before


def test_a_writer_that_lives_keeps_others_out(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.1)
    monkeypatch.setattr(lease, "PATIENCE", 5.0)
    writes_already = pytest.raises(
        InputError, match=f"^{url}: is being written by process {os.getpid()} on this"
    )
    with TripletWriter(url, source="toy"), writes_already:
        TripletWriter(url, source="toy")
    TripletWriter(url, source="toy").__exit__(None, None, None)
    assert ".lock" not in at_url(url)


def test_a_writer_whose_lease_was_taken_stops_before_it_lists_anything(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.01)
    system, base = fsspec.core.url_to_fs(memory)
    writer = TripletWriter(memory, source="toy")
    system.pipe_file(f"{base}/.lock", json.dumps({"token": "another"}).encode())
    time.sleep(0.2)
    with pytest.raises(InputError, match="was taken over by another process"):
        writer.__exit__(None, None, None)
    assert json.loads(system.cat_file(f"{base}/manifest.json"))["finished"] is False
    assert json.loads(system.cat_file(f"{base}/.lock"))["token"] == "another"


def test_of_many_writers_at_once_one_writes(s3: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(lease, "BEAT", 0.2)
    mine_stand_ins(tmp_path)
    ends: list[str] = []

    def run() -> None:
        try:
            mine_stand_ins(s3, pause=0.1)  # type: ignore[arg-type]
            ends.append("done")
        except InputError as error:
            ends.append(str(error))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ends) == 3
    assert "done" in ends
    assert all(end == "done" or "is being written by process" in end for end in ends)
    assert at_url(s3) == in_folder(tmp_path)


def test_parts_at_a_url_make_the_whole(url: str) -> None:
    for number in (2, 1):
        mine_stand_ins(url, part=Part(number, 2))  # type: ignore[arg-type]
    joined = open_triplets(url)
    joined.verify()
    assert len(joined) == 30


def test_a_shard_that_is_gone_or_cut_short_is_told(url: str) -> None:
    mine_stand_ins(url)  # type: ignore[arg-type]
    system, base = fsspec.core.url_to_fs(url)
    system.pipe_file(f"{base}/shard-000001.tar", b"half")
    with pytest.raises(BadDatasetError, match=f"^{url}/shard-000001.tar: has 4 bytes, the manifest says"):
        open_triplets(url)
    system.rm_file(f"{base}/shard-000001.tar")
    with pytest.raises(BadDatasetError, match=f"^{url}/shard-000001.tar: is missing"):
        open_triplets(url)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("memory://nothing-there", "^memory://nothing-there: does not exist"),
        ("nonsense://bucket/set", "^nonsense://bucket/set: cannot be opened .*Protocol not known: nonsense"),
    ],
)
def test_wrong_addresses_are_one_line(address: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        open_triplets(address)
    assert "\n" not in str(caught.value)


def test_a_bucket_that_does_not_exist_is_one_line(s3: str) -> None:
    gone = s3.replace("bucket-", "no-such-")
    with pytest.raises(InputError, match=f"^{gone}: "):
        open_triplets(gone)
    with pytest.raises(InputError, match=f"^{gone}: cannot be written"):
        mine_stand_ins(gone)  # type: ignore[arg-type]


def test_a_scan_at_a_url_is_brought_here_once(url: str, tmp_path: Path) -> None:
    write_kitti(tmp_path / "kitti", frames=2)
    system, base = fsspec.core.url_to_fs(url)
    system.put(str(tmp_path / "kitti") + "/", f"{base}/kitti/", recursive=True)
    scan, here = open_scan("kitti", f"{url}/kitti"), open_scan("kitti", tmp_path / "kitti")
    assert scan.frame_ids() == here.frame_ids()
    assert (scan[1].points == here[1].points).all()
    file = next(fetch(f"{url}/kitti").rglob("*.bin"))
    before = file.stat().st_mtime_ns
    fetch(f"{url}/kitti")
    assert file.stat().st_mtime_ns == before
    assert (
        fetch(f"{url}/kitti/training/calib/000000.txt").read_text()
        == (tmp_path / "kitti/training/calib/000000.txt").read_text()
    )


def test_what_will_be_copied_is_said_first(
    memory: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    system, base = fsspec.core.url_to_fs(memory)
    system.pipe({f"{base}/scan/a": b"x" * 1_500_000, f"{base}/scan/b": b"x" * 1_000_000})
    here = fetch(f"{memory}/scan")
    assert caplog.messages == [f"clip2: {memory}/scan: copying 2 files, 2.5 MB, to {here}"]
    (here / "b").write_bytes(b"cut short")
    fetch(f"{memory}/scan")
    assert caplog.messages[1:] == [
        f"clip2: {memory}/scan: copying 1 file, 1.0 MB, to {here} (1 more are there)"
    ]
    fetch(f"{memory}/scan")
    assert len(caplog.messages) == 2


def test_more_than_the_disk_holds_is_rejected_before_it_is_copied(
    memory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    system, base = fsspec.core.url_to_fs(memory)
    system.pipe(f"{base}/scan/a", b"x")
    info = {"name": f"{base}/scan/a", "size": 10**18, "type": "file"}
    monkeypatch.setattr(type(system), "find", lambda *_, **__: {info["name"]: info})
    with pytest.raises(
        InputError, match=r"1,000,000,000\.0 GB would be copied to .*Fix: let CLIP2_CACHE name"
    ):
        fetch(f"{memory}/scan")


def test_a_scan_that_is_not_there_is_one_line(url: str) -> None:
    with pytest.raises(InputError, match=f"^{url}/nothing: does not exist"):
        open_scan("kitti", f"{url}/nothing")
