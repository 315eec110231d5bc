"""The frozen CLIP: same numbers as open_clip, never trained, never loaded by guesswork."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.tiny_clip import IMAGE_SIZE, make_tiny_clip

from clip2.teacher import PROMPTS, Teacher, TextBank, TextSource
from clip2.teacher.open_clip_models import published_as
from data_prep.errors import InputError


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.fixture
def folder(tiny_clip: str, tmp_path: Path) -> Path:
    """A copy of the tiny model that a test may spoil."""
    return Path(shutil.copytree(tiny_clip.removeprefix("local-dir:"), tmp_path / "model"))


def test_vectors_are_open_clips_own(tiny_clip: str, tiny_teacher: Teacher) -> None:
    network, _, preprocess = open_clip.create_model_and_transforms(tiny_clip)
    network.eval()
    images = [noise(50, 70, 3), noise(40, 33, 3, seed=1)]
    with torch.no_grad():
        pixels = torch.stack([preprocess(Image.fromarray(image)) for image in images])
        expected_images = network.encode_image(pixels, normalize=True)
        tokens = open_clip.tokenize(["a point cloud of a mug.", "a point cloud of a night stand."])
        expected_texts = network.encode_text(tokens, normalize=True)
    np.testing.assert_allclose(tiny_teacher.encode_images(images), expected_images, atol=1e-6)
    np.testing.assert_allclose(tiny_teacher.encode_texts(["mug", "night_stand"]), expected_texts, atol=1e-6)


def test_prompts_are_averaged_after_normalizing(tiny_teacher: Teacher) -> None:
    sentences = [template.format("chair") for template in PROMPTS["ulip-64"]]
    with torch.no_grad():
        each = tiny_teacher._network.encode_text(open_clip.tokenize(sentences)).double().numpy()
    mean = (each / np.linalg.norm(each, axis=1, keepdims=True)).mean(axis=0)
    got = tiny_teacher.encode_texts(["chair", "mug"], "ulip-64", batch_size=50)[0]
    np.testing.assert_allclose(got, mean / np.linalg.norm(mean), atol=1e-6)


def test_batch_size_changes_nothing(tiny_teacher: Teacher) -> None:
    images = [noise(20 + i, 30, 3, seed=i) for i in range(5)]
    np.testing.assert_allclose(
        tiny_teacher.encode_images(images, batch_size=2), tiny_teacher.encode_images(images), atol=1e-6
    )
    assert tiny_teacher.encode_images([]).shape == (0, 32)


def test_it_is_frozen(tiny_teacher: Teacher) -> None:
    assert not tiny_teacher._network.training
    assert not any(parameter.requires_grad for parameter in tiny_teacher._network.parameters())
    assert isinstance(tiny_teacher, TextSource)


def test_bfloat16_stays_close(tiny_clip: str, tiny_teacher: Teacher) -> None:
    images = [noise(40, 40, 3, seed=i) for i in range(4)]
    cosine = (
        Teacher.load(tiny_clip, precision="bf16").encode_images(images) * tiny_teacher.encode_images(images)
    ).sum(1)
    assert cosine.min() > 0.999


def test_its_name_follows_the_weights_not_the_path(tmp_path: Path, tiny_teacher: Teacher) -> None:
    moved = Teacher.load(make_tiny_clip(tmp_path / "elsewhere"))
    other = Teacher.load(make_tiny_clip(tmp_path / "other", seed=1))
    assert moved.model == tiny_teacher.model != other.model
    bank = TextBank.from_teacher(tiny_teacher, "mug, chair")
    bank.require(moved.model, moved.width)
    np.testing.assert_array_equal(
        bank.lookup(["chair", "mug"]), tiny_teacher.encode_texts(["mug", "chair"])[::-1]
    )
    with pytest.raises(InputError, match=other.model):
        bank.require(other.model, other.width)


def test_a_folder_may_say_which_published_model_it_holds(tmp_path: Path) -> None:
    name = make_tiny_clip(tmp_path / "clip", width=512)
    assert Teacher.load(name, model="ViT-B-32/laion2b_s34b_b79k").model == "ViT-B-32/laion2b_s34b_b79k"
    with pytest.raises(
        InputError, match="embed_dim: is 512 in the folder, 768 in ViT-L-14/laion2b_s32b_b82k"
    ):
        Teacher.load(name, model="ViT-L-14/laion2b_s32b_b82k")
    # OpenAI's weights need QuickGELU; a config without it would give wrong vectors under the right name.
    with pytest.raises(InputError, match="quick_gelu: is False in the folder, True in ViT-B-32/openai"):
        Teacher.load(name, model="ViT-B/32")


@pytest.mark.parametrize(
    "name, said",
    [
        ("ViT-B-33/openai", r"no model 'ViT-B-33'.*ViT-B-32"),
        ("ViT-B-32/opanai", r"no weights 'opanai'.*ViT-B-32/openai"),
        ("ViT-B-32", r"needs a TAG.*ViT-B-32/openai"),
        ("local-dir:/no/such/folder", r"/no/such/folder: is not a folder"),
    ],
)
def test_unknown_names_are_refused_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Teacher.load(name)


@pytest.mark.parametrize("name", ["ViT-B-32/openai", "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K"])
def test_offline_the_way_out_is_one_line(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"cannot be downloaded .* use local-dir:FOLDER") as error:
        Teacher.load(name)
    assert "\n" not in str(error.value)


def test_openai_weights_get_their_activation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """open_clip builds plain GELU for ViT-B-32/openai and only warns; the vectors would be wrong."""
    built = {}

    def create_model(architecture: str, **options: object) -> object:
        built.update(options, architecture=architecture)
        raise KeyboardInterrupt

    monkeypatch.setattr("clip2.teacher.hub_files.HubFile.cached", lambda file: tmp_path)
    monkeypatch.setattr("open_clip.pretrained.download_pretrained", lambda settings: str(tmp_path))
    monkeypatch.setattr("open_clip.create_model", create_model)
    for name, quick in [
        ("ViT-B-32/openai", True),
        ("ViT-B-32-quickgelu/openai", True),
        ("ViT-B-32/laion2b_e16", False),
    ]:
        with pytest.raises(KeyboardInterrupt):
            Teacher.load(name)
        assert (built["architecture"], built["force_quick_gelu"]) == ("ViT-B-32", quick)


def test_a_repository_is_known_by_its_published_name() -> None:
    """From hf-hub: or by NAME/TAG, the same weights go together with the same text banks."""
    repositories = {
        "timm/vit_base_patch32_clip_224.openai": "ViT-B-32/openai",
        "laion/CLIP-ViT-B-32-laion2B-s34B-b79K": "ViT-B-32/laion2b_s34b_b79k",
        "somebody/else": None,
    }
    assert {name: published_as(name) for name in repositories} == repositories


def test_incomplete_folders_are_refused(folder: Path) -> None:
    name, config, weights = (
        f"local-dir:{folder}",
        folder / "open_clip_config.json",
        folder / "open_clip_model.safetensors",
    )
    whole = weights.read_bytes()
    weights.write_bytes(whole[:1000])
    with pytest.raises(InputError, match="cannot be loaded"):
        Teacher.load(name)
    weights.unlink()
    with pytest.raises(InputError, match="has no weights"):
        Teacher.load(name)
    weights.write_bytes(whole)
    config.write_text(json.dumps({"embed_dim": 32}))
    with pytest.raises(InputError, match=r"open_clip_config\.json: is not a model config"):
        Teacher.load(name)
    config.unlink()
    with pytest.raises(InputError, match=r"open_clip_config\.json: is missing"):
        Teacher.load(name)


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    weights = folder / "open_clip_model.safetensors"
    tensors = load_file(weights)
    del tensors["text_projection"]
    save_file(tensors, weights)
    with pytest.raises(InputError, match=r"cannot be loaded.*text_projection"):
        Teacher.load(f"local-dir:{folder}")


def test_pickled_code_in_weights_is_not_run(folder: Path) -> None:
    class Payload:
        def __reduce__(self) -> tuple:
            return Path.touch, (folder / "executed",)

    (folder / "open_clip_model.safetensors").unlink()
    torch.save({"state_dict": Payload()}, folder / "open_clip_pytorch_model.bin")
    with pytest.raises(InputError, match="cannot be loaded"):
        Teacher.load(f"local-dir:{folder}")
    assert not (folder / "executed").exists()


@pytest.mark.parametrize("device, said", [("gpu9", "'gpu9' is unknown"), ("cuda", "cuda is not available")])
def test_devices_that_are_not_there(tiny_clip: str, device: str, said: str) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(InputError, match=said):
        Teacher.load(tiny_clip, device)


@pytest.mark.parametrize(
    "shape", [(1, 1, 3), (1, 5000, 3), (5000, 2, 3), (IMAGE_SIZE, IMAGE_SIZE, 3), (3, 700, 3)]
)
def test_crops_of_any_size_have_a_vector(tiny_teacher: Teacher, shape: tuple[int, ...]) -> None:
    (vector,) = tiny_teacher.encode_images([noise(*shape)])
    assert np.linalg.norm(vector) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "image", [noise(20, 20), noise(20, 20, 4), noise(0, 20, 3), np.zeros((9, 9, 3), np.float32)]
)
def test_what_is_no_rgb_image_is_refused(tiny_teacher: Teacher, image: np.ndarray) -> None:
    with pytest.raises(InputError, match="RGB with at least one pixel"):
        tiny_teacher.encode_images([image])


@pytest.mark.parametrize(
    "labels, templates, said",
    [
        ([], "clip2", "is empty"),
        (["a", "A"], "clip2", "the same label"),
        (["a"], "best", "'best' is unknown"),
    ],
)
def test_words_it_cannot_encode(tiny_teacher: Teacher, labels: list[str], templates: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        tiny_teacher.encode_texts(labels, templates)


def test_there_are_64_sentences_with_one_gap_each() -> None:
    assert len(set(PROMPTS["ulip-64"])) == 64
    assert all(sentence.count("{}") == 1 for sentences in PROMPTS.values() for sentence in sentences)
