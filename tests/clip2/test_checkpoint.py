from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import clip2
from clip2.checkpoint import save
from clip2.model import Clip2Model
from clip2.model_config import EncoderConfig, ModelConfig, TeacherSpec
from clip2.preprocessing import Preprocessing
from clip2.teacher.text_bank import TextBank
from data_prep.errors import InputError
from data_prep.storage.files import file_sha256

WORDS = TextBank(("mug", "chair"), np.eye(2, 16, dtype=np.float32), "ViT-B-32/openai")
CLOUD = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)


@pytest.fixture
def model() -> Clip2Model:
    torch.manual_seed(1)
    config = ModelConfig(
        encoder=EncoderConfig(name="pointnet2_ssg_small"),
        preprocessing=Preprocessing(num_points=64, center="box"),
        teacher=TeacherSpec(name="ViT-B-32/openai", width=16),
    )
    return Clip2Model(config).eval()


@pytest.fixture
def folder(model: Clip2Model, tmp_path: Path) -> Path:
    save(model, tmp_path / "run", WORDS, training={"step": 7})
    return tmp_path / "run"


@pytest.mark.parametrize("prefix", ["", "local-dir:"])
def test_a_model_comes_back_as_it_was(model: Clip2Model, folder: Path, prefix: str) -> None:
    loaded = clip2.load(f"{prefix}{folder}")
    assert not loaded.training
    assert loaded.config == model.config
    assert torch.equal(loaded.encode([CLOUD]), model.encode([CLOUD]))
    assert loaded.text_bank is not None
    assert loaded.classify([CLOUD], "chair, mug").labels == ("chair", "mug")


def test_without_words_it_still_loads(model: Clip2Model, tmp_path: Path) -> None:
    save(model, tmp_path / "bare")
    assert clip2.load(tmp_path / "bare").text_bank is None
    assert sorted(file.name for file in (tmp_path / "bare").iterdir()) == ["config.json", "model.safetensors"]


def test_saving_twice_gives_the_same_bytes(model: Clip2Model, folder: Path) -> None:
    before = file_sha256(folder / "model.safetensors")
    save(model, folder, WORDS)
    assert file_sha256(folder / "model.safetensors") == before


def test_config_says_the_sha256_of_the_weights(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    assert config["weights"]["sha256"] == file_sha256(folder / "model.safetensors")
    assert config["training"] == {"step": 7}


def test_from_the_hub(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, object] = {}

    def snapshot_download(repository: str, **options: object) -> str:
        asked.update(options, repository=repository)
        return str(folder)

    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot_download)
    clip2.load("hf-hub:someone/something@v2")
    assert asked["repository"] == "someone/something"
    assert asked["revision"] == "v2"
    files = ["config.json", "model.safetensors", "text_bank.npz", "ood.safetensors"]
    assert asked["allow_patterns"] == [*files, "familiarity.safetensors"]  # the detector of release 0.1.0


def test_a_hub_name_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match="hf-hub:ORG/NAME"):
        clip2.load("hf-hub:something")


def change(path: Path, edit: Callable[[dict], object]) -> None:
    config = json.loads(path.read_text())
    edit(config)
    path.write_text(json.dumps(config))


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def damage_config(edit: Callable[[dict], object]) -> Callable[[Path], None]:
    return lambda folder: change(folder / "config.json", edit)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no config": (lambda f: (f / "config.json").unlink(), "has no config.json"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "model.safetensors: is missing"),
    "no bank": (lambda f: (f / "text_bank.npz").unlink(), "text_bank.npz: is missing"),
    "altered weights": (lambda f: flip_a_bit(f / "model.safetensors"), "sha256"),
    "altered bank": (lambda f: flip_a_bit(f / "text_bank.npz"), "sha256"),
    "not JSON": (lambda f: (f / "config.json").write_text("{"), "is not JSON"),
    "a list": (lambda f: (f / "config.json").write_text("[]"), "clip2-checkpoint"),
    "another format": (damage_config(lambda c: c.update(format="zip")), "clip2-checkpoint"),
    "a newer version": (damage_config(lambda c: c.update(format_version=2)), "reads 1"),
    "unknown key": (
        damage_config(lambda c: c["model"]["preprocessing"].update(num_point=1)),
        "model.preprocessing.num_point: is not a known key. Fix: did you mean num_points?",
    ),
    "impossible value": (
        damage_config(lambda c: c["model"]["preprocessing"].update(up_axis="y")),
        "model.preprocessing: up_axis is 'y', clouds are always z-up",
    ),
    "no preprocessing number": (
        damage_config(lambda c: c["model"]["preprocessing"].update(num_points="many")),
        "model.preprocessing.num_points",
    ),
    "missing part": (damage_config(lambda c: c["model"].pop("teacher")), "model.teacher: is missing"),
    "another encoder": (
        damage_config(lambda c: c["model"]["encoder"].update(name="pointnet2_ssg")),
        "another encoder configuration",
    ),
    "unknown encoder": (damage_config(lambda c: c["model"]["encoder"].update(name="point")), "model.encoder"),
    "color switched off": (
        damage_config(lambda c: c["model"]["preprocessing"].update(color=False)),
        "another encoder configuration",
    ),
    "another CLIP than the bank": (
        damage_config(lambda c: c["model"]["teacher"].update(name="ViT-L-14/openai")),
        "ViT-B-32/openai",
    ),
    "file outside": (
        damage_config(lambda c: c["weights"].update(file="../model.safetensors")),
        "not a plain file name",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_checkpoint_is_one_clear_line(folder: Path, name: str) -> None:
    damage, said = DAMAGE[name]
    damage(folder)
    with pytest.raises(InputError) as error:
        clip2.load(folder)
    assert said in str(error.value)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def test_weights_that_are_no_safetensors(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(b"PK\x03\x04 a pickle in a zip")
    change(folder / "config.json", lambda c: c["weights"].update(sha256=file_sha256(weights)))
    with pytest.raises(InputError, match="not a safetensors file"):
        clip2.load(folder)


def test_an_extra_tensor_is_named(folder: Path, model: Clip2Model) -> None:
    weights = folder / "model.safetensors"
    save_file({**model.state_dict(), "backdoor": torch.zeros(1)}, weights)
    change(folder / "config.json", lambda c: c["weights"].update(sha256=file_sha256(weights)))
    with pytest.raises(InputError, match="backdoor"):
        clip2.load(folder)


def test_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a folder"):
        clip2.load(tmp_path / "nowhere")


def test_the_shipped_model_has_a_name_and_a_folder_of_that_name_a_prefix(
    folder: Path, model: Clip2Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clip2.checkpoint.MINI_POINTS_FOLDER", folder)
    monkeypatch.chdir(tmp_path)
    save(model, "mini-points")  # without words, so that the two can be told apart
    assert clip2.load("mini-points").text_bank is not None
    assert clip2.load("local-dir:mini-points").text_bank is None
    assert clip2.load(Path("mini-points")).text_bank is None
    monkeypatch.setattr("clip2.checkpoint.MINI_POINTS_FOLDER", tmp_path / "nothing")
    with pytest.raises(InputError, match=r"mini-points.*is not in this installation"):
        clip2.load("mini-points")


@pytest.mark.parametrize("size", [False, True])
def test_models_that_are_told_the_size_and_models_that_are_not_come_back(tmp_path: Path, size: bool) -> None:
    config = ModelConfig(
        encoder=EncoderConfig(name="pointnet", options={"widths": (8, 16)}),
        preprocessing=Preprocessing(num_points=64, size=size),
        teacher=TeacherSpec(name="ViT-B-32/openai", width=16),
    )
    model = Clip2Model(config).eval()
    save(model, tmp_path)
    loaded = clip2.load(tmp_path)
    assert loaded.preprocessing.size is size
    assert torch.equal(loaded.encode([CLOUD, 5 * CLOUD]), model.encode([CLOUD, 5 * CLOUD]))
    change(tmp_path / "config.json", lambda c: c["model"]["preprocessing"].update(size=not size))
    with pytest.raises(InputError, match="size_mixer"):
        clip2.load(tmp_path)


def test_configs_from_before_size_and_detector_load(folder: Path, model: Clip2Model) -> None:
    change(folder / "config.json", lambda c: c["model"]["preprocessing"].pop("size"))
    change(folder / "config.json", lambda c: c.pop("ood"))
    loaded = clip2.load(folder)
    assert loaded.preprocessing.size is False
    assert torch.equal(loaded.encode([CLOUD]), model.encode([CLOUD]))


def test_a_failed_save_leaves_the_old_checkpoint(
    folder: Path, model: Clip2Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(tensors: object, path: Path, metadata: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full_disk)
    with pytest.raises(InputError, match="space"):
        save(model, folder, WORDS)
    monkeypatch.undo()
    assert torch.equal(clip2.load(folder).encode([CLOUD]), model.encode([CLOUD]))
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]
