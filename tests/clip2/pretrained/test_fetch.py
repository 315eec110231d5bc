"""Public encoders by name: fetched from a hub, converted once, loaded without it ever after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import clip2
from clip2.cli import main
from clip2.pretrained import CATALOG, convert_checkpoint, fetch_pretrained, list_pretrained
from clip2.pretrained.loading import resolve
from clip2.teacher.hub_files import HubFile
from data_prep.errors import InputError
from data_prep.storage.files import file_sha256
from tests.support.hub_stand_in import Hub, hub_stand_in
from tests.support.public_twins import TWINS, uni3d_state

NAME = "uni3d-ti"
CLOUD = [np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with a one-block Uni3D-Ti, and empty caches."""
    from huggingface_hub import constants

    monkeypatch.setenv("CLIP2_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    with hub_stand_in() as hub:
        go_to(hub.url, monkeypatch)
        file = tmp_path / "served.pt"
        TWINS[NAME].write(file, TWINS[NAME].state(1))
        entry = CATALOG[NAME]
        hub.add(entry.repository, entry.file, file)
        yield hub


def go_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process take ``url`` for huggingface.co."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def error_of(name: str = NAME) -> str:
    with pytest.raises(InputError) as raised:
        fetch_pretrained(name, tell=lambda line: None)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_it_is_downloaded_and_converted_once(
    hub: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = clip2.load(NAME)
    said = capsys.readouterr().err
    assert "license: code MIT" in said
    assert "modelzoo/uni3d-ti/model.pt" in said
    assert hub.downloads == ["BAAI/Uni3D/modelzoo/uni3d-ti/model.pt"]
    hub.files.clear()
    again = clip2.load(NAME)
    assert len(hub.downloads) == 1
    assert capsys.readouterr().err == ""
    expected = convert_checkpoint(tmp_path / "served.pt").encode(CLOUD)
    assert torch.equal(first.encode(CLOUD), expected)
    assert torch.equal(again.encode(CLOUD), expected)


def test_a_download_that_breaks_off_is_continued(hub: Hub, tmp_path: Path) -> None:
    hub.cut = (tmp_path / "served.pt").stat().st_size // 2
    fetch_pretrained(NAME, tell=lambda line: None)
    assert len(hub.downloads) == 2
    expected = convert_checkpoint(tmp_path / "served.pt").encode(CLOUD)
    assert torch.equal(clip2.load(NAME).encode(CLOUD), expected)


def test_another_digest_than_before_is_refused(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    folder = fetch_pretrained(NAME)
    shutil.rmtree(folder)
    shutil.rmtree(tmp_path / "hub")
    TWINS[NAME].write(tmp_path / "served.pt", TWINS[NAME].state(2))
    assert "has the digest" in error_of()
    known = replace(CATALOG[NAME], sha256="00" * 32)
    monkeypatch.setitem(CATALOG, NAME, known)
    assert "expected 000000000000" in error_of()


def test_the_advice_on_a_wrong_digest_helps(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = file_sha256(tmp_path / "served.pt")
    monkeypatch.setitem(CATALOG, NAME, replace(CATALOG[NAME], sha256=good))
    cached = HubFile(CATALOG[NAME].repository, CATALOG[NAME].file).download()
    cached.resolve().write_bytes(cached.read_bytes()[:-1] + b"x")  # a disk that lost a byte
    said = error_of()
    Path(said.partition(": sha256")[0]).unlink()  # "delete the file"
    fetch_pretrained(NAME)
    assert len(hub.downloads) == 2


def test_without_a_network_one_line_says_what_to_fetch_and_where_to_put_it(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_to("http://127.0.0.1:9", monkeypatch)  # nobody listens there
    said = error_of()
    drop = tmp_path / "cache" / "downloads" / NAME
    assert f"clip2 fetch {NAME}" in said
    assert f"put model.pt of https://huggingface.co/BAAI/Uni3D into {drop}" in said
    drop.mkdir(parents=True)
    (tmp_path / "served.pt").rename(drop / "model.pt")
    assert clip2.load(NAME).encode(CLOUD).shape == (1, 1024)
    assert hub.downloads == []


def test_a_file_that_is_no_checkpoint_leaves_nothing_behind(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "served.pt").write_text("<html>please log in</html>")
    assert "cannot be read" in error_of()
    assert not [path for path in (tmp_path / "cache/models").iterdir() if not path.name.endswith(".lock")]


def test_too_little_disk_and_memory_is_said_before(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    import shutil

    usage = shutil.disk_usage("/")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert "of disk" in error_of()
    assert hub.downloads == []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    monkeypatch.setitem(CATALOG, NAME, replace(CATALOG[NAME], parameters=1e9))
    assert "of memory" in error_of()
    assert hub.downloads == []


def test_a_cache_that_cannot_be_written_is_told(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CLIP2_CACHE", str(tmp_path / "file" / "cache"))
    assert "CLIP2_CACHE" in error_of()
    assert hub.downloads == []


def test_two_at_once_fetch_once(hub: Hub) -> None:
    with ThreadPoolExecutor(2) as pool:
        folders = list(pool.map(lambda _: fetch_pretrained(NAME, tell=lambda line: None), range(2)))
    assert folders[0] == folders[1]
    assert len(hub.downloads) == 1


@pytest.mark.slow
def test_two_processes_at_once_fetch_once(hub: Hub, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "CLIP2_CACHE": str(tmp_path / "cache"),
        "HF_HUB_CACHE": str(tmp_path / "hub"),
        "HF_ENDPOINT": hub.url,
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    code = f"import clip2; print(clip2.load({NAME!r}).teacher.width)"
    both = [
        subprocess.Popen([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=120)[0].split()[-1] for process in both] == ["1024", "1024"]
    assert len(hub.downloads) == 1
    record = json.loads((tmp_path / f"cache/models/{NAME}.json").read_text())
    assert record["sha256"] == file_sha256(tmp_path / "served.pt")


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list_pretrained("ulip*") == ["ulip2-pointbert", "ulip-pointbert"]
    assert set(TWINS) <= set(list_pretrained())
    for wrong, near in (("uni3d-tiny", "uni3d-ti"), ("openshape-vitb23", "openshape-vitb32")):
        with pytest.raises(InputError, match=f"did you mean .*{near}"):
            resolve(wrong)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "uni3d-b").mkdir()  # a run of the user's own by that name
    assert resolve("uni3d-b") == "uni3d-b"
    with pytest.raises(InputError, match="is not a folder"):
        clip2.load("runs/mine")


def test_auto_is_the_recommended_model_once_it_is_here(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve("auto") == "mini-points"
    monkeypatch.setattr("clip2.pretrained.loading.RECOMMENDED", NAME)
    assert hub.downloads == []
    fetch_pretrained(NAME)
    assert clip2.load("auto").teacher.name == CATALOG[NAME].clip


@pytest.mark.parametrize("name", TWINS)
def test_the_catalog_agrees_with_the_files(name: str) -> None:
    entry, twin = CATALOG[name], TWINS[name]
    size = name.removeprefix("uni3d-")
    model = convert_checkpoint(twin.state(1) if size == name else uni3d_state(size, 1, narrow=True))
    assert (entry.clip, entry.color, entry.points) == (
        model.teacher.name,
        model.preprocessing.color,
        model.preprocessing.num_points,
    )


def test_a_checkpoint_file_needs_no_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CLIP2_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "mine.pt"
    TWINS[NAME].write(path, TWINS[NAME].state(1))
    model = clip2.load(str(path))
    assert f"converting {path}, once" in capsys.readouterr().err
    direct = convert_checkpoint(path).eval()
    torch.testing.assert_close(model.encode(CLOUD), direct.encode(CLOUD))
    clip2.load(path)
    assert "converting" not in capsys.readouterr().err
    with pytest.raises(InputError, match="does not exist"):
        clip2.load(str(tmp_path / "other.pt"))
    clip2.save(direct, tmp_path / "folder")
    with pytest.raises(InputError, match=f"give the folder: {tmp_path / 'folder'}"):
        clip2.load(str(tmp_path / "folder" / "model.safetensors"))
    torch.save({"a": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(InputError, match="is no checkpoint of OpenShape, ULIP or Uni3D"):
        clip2.load(str(tmp_path / "other.pt"))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["no.ply", "--labels", "chair"], "no.ply: does not exist"),
        (["cloud.npy", "--labels", "chair,Chair"], "labels"),
        (["cloud.npy", "--labels", ""], "labels: is empty"),
    ],
)
def test_what_is_wrong_is_said_before_the_download(
    arguments: list[str], problem: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    np.save("cloud.npy", CLOUD[0])
    assert main(["recognize", *arguments, "--model", NAME]) == 2
    assert problem in capsys.readouterr().err
    assert not hub.downloads
