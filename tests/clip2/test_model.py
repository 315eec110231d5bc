from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from support.tiny_clip import make_tiny_clip

from clip2.model import Clip2Model, SizeMixer
from clip2.model_config import EncoderConfig, ModelConfig, TeacherSpec
from clip2.preprocessing import Preprocessing
from clip2.teacher import Teacher
from clip2.teacher.text_bank import TextBank
from data_prep.errors import InputError


def unit_rows(count: int, width: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def bank(model: str = "ViT-B-32/openai", width: int = 16) -> TextBank:
    return TextBank(("mug", "chair", "table"), unit_rows(3, width), model)


def tiny_model(**preprocessing: object) -> Clip2Model:
    torch.manual_seed(0)
    config = ModelConfig(
        encoder=EncoderConfig(name="pointnet2_ssg_small"),
        preprocessing=Preprocessing.model_validate({"num_points": 64, **preprocessing}),
        teacher=TeacherSpec(name="ViT-B/32", width=16),
    )
    return Clip2Model(config, bank()).eval()


def clouds(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(3)
    return [random.normal(size=(20 + 40 * i, 3)).astype(np.float32) for i in range(count)]


def test_embeddings_are_unit_rows_of_the_teachers_width() -> None:
    embeddings = tiny_model().encode(clouds(5), batch_size=2)
    assert embeddings.shape == (5, 16)
    assert embeddings.dtype == torch.float32
    assert embeddings.norm(dim=1).tolist() == pytest.approx([1] * 5, abs=1e-5)
    assert not embeddings.requires_grad


def test_a_cloud_has_one_embedding_whatever_it_is_batched_with() -> None:
    model, many = tiny_model(), clouds(5)
    together = model.encode(many)
    for i, cloud in enumerate(many):
        assert (model.encode([cloud])[0] - together[i]).abs().max() < 1e-5


@pytest.mark.parametrize("sampling", ["random", "fps"])
def test_where_an_object_stands_and_the_order_of_its_points_do_not_matter(sampling: str) -> None:
    model = tiny_model(num_points=512, sampling=sampling)
    random = np.random.default_rng(11)
    cloud = (random.normal(size=(4000, 3)) * [1.0, 0.4, 0.6]).astype(np.float32)
    places = [(0.3, 0.7, 0.01), (1.1, -2.3, 0.5), (33.3, 10.1, -1.7), (-71.9, 69.3, 2.2)]
    moved = [(cloud + np.float32(place)).astype(np.float32) for place in places]
    embeddings = model.encode([cloud, cloud[random.permutation(len(cloud))], *moved])
    assert torch.equal(embeddings[0], embeddings[1])
    assert (embeddings @ embeddings[0]).min() > 0.9999


def test_encoding_is_in_eval_mode_and_leaves_the_mode_as_it_was() -> None:
    model = tiny_model()
    expected = model.encode(clouds(3))
    model.train()
    assert torch.equal(model.encode(clouds(3)), expected)
    assert model.training


def test_absent_color_is_not_black() -> None:
    model, cloud = tiny_model(), clouds(2)[1]
    black = np.zeros(cloud.shape, np.uint8)
    assert not torch.allclose(model.encode([cloud]), model.encode([cloud], [black]), atol=1e-4)


def test_size_reaches_the_embedding_where_the_model_is_told() -> None:
    told, not_told = tiny_model(size=True), tiny_model()
    batch = told.preprocessing([3 * clouds(3)[2]])
    assert batch.radii is not None
    assert float(batch.radii) == pytest.approx(3 * float(told.preprocessing([clouds(3)[2]]).radii), rel=0.3)
    with torch.no_grad():
        here, larger = (told(batch._replace(radii=radii)).points for radii in (batch.radii, batch.radii * 3))
        same = [not_told(batch._replace(radii=radii)).points for radii in (batch.radii, None)]
    assert (here - larger).abs().max() > 1e-3
    assert torch.equal(*same)
    assert told.parameter_count() > not_told.parameter_count()


def test_twice_the_size_is_one_step_wherever_it_begins() -> None:
    mixer = SizeMixer(4)
    with torch.no_grad():
        mixer.layers[0].weight.copy_(torch.eye(5)[[4, 4, 4, 4]])  # every channel sees the size alone
        mixer.layers[0].bias.fill_(20.0)  # the far side of the kink: linear
        mixed = mixer(torch.zeros(4, 4), torch.tensor([0.1, 0.2, 3.0, 6.0]))
    assert mixed[1] - mixed[0] == pytest.approx(mixed[3] - mixed[2], abs=1e-5)
    assert torch.isfinite(mixer(torch.zeros(1, 4), torch.zeros(1))).all()  # a single place has no size


def test_scores_are_softmax_of_scaled_cosines() -> None:
    model = tiny_model()
    result = model.classify(clouds(4), "mug, chair")
    cosines = result.embeddings @ bank().lookup(["mug", "chair"]).T
    odds = np.exp((cosines[:, 0] - cosines[:, 1]) / 0.07)  # fresh model: CLIP's initial temperature
    assert result.labels == ("mug", "chair")
    assert result.scores[:, 0] / result.scores[:, 1] == pytest.approx(odds, rel=1e-3)
    assert result.scores.sum(axis=1) == pytest.approx(np.ones(4), abs=1e-6)
    assert [names[0][0] for names in result.top(1)] == list(result.best)
    assert result.in_distribution.all()  # without a detector


def test_without_labels_all_labels_of_the_bank_compete() -> None:
    assert tiny_model().classify(clouds(2)).labels == ("mug", "chair", "table")
    others = TextBank(("cup", "bus"), unit_rows(2, 16), "ViT-B-32/openai")
    assert tiny_model().classify(clouds(2), text=others).labels == ("cup", "bus")


def test_a_teacher_lists_no_labels(tmp_path: Path) -> None:
    teacher = Teacher.load(make_tiny_clip(tmp_path, width=16))
    spec = TeacherSpec(name=teacher.model, width=16)
    model = Clip2Model(tiny_model().config.model_copy(update={"teacher": spec})).eval()
    with pytest.raises(InputError, match="lists none"):
        model.classify(clouds(1), text=teacher)


def test_vectors_of_another_clip_are_refused_by_name() -> None:
    model = tiny_model()
    with pytest.raises(InputError) as error:
        model.classify(clouds(1), "mug", bank("ViT-L-14/openai", 16))
    assert "ViT-L-14/openai" in str(error.value)
    assert "ViT-B-32/openai" in str(error.value)
    with pytest.raises(InputError, match="24 wide"):
        model.classify(clouds(1), "mug", bank(width=24))
    with pytest.raises(InputError, match="ViT-L-14"):
        Clip2Model(model.config, bank("ViT-L-14/openai"))


def test_vectors_of_other_prompts_are_refused_by_name() -> None:
    config = tiny_model().config
    spec = config.teacher.model_copy(update={"templates": "ulip-64"})
    model = Clip2Model(config.model_copy(update={"teacher": spec}))
    asked = TextBank(("mug", "chair"), unit_rows(2, 16), "ViT-B-32/openai", "clip2")
    with pytest.raises(InputError, match=r"templates: .*'clip2'.*'ulip-64'"):
        model.classify(clouds(1), "mug", asked)
    unknown = TextBank(asked.names, asked.embeddings, asked.model)
    assert model.classify(clouds(1), "mug", unknown).best == ("mug",)


def test_a_teacher_is_asked_in_the_prompts_the_model_was_trained_against(tmp_path: Path) -> None:
    teacher = Teacher.load(make_tiny_clip(tmp_path, width=16))
    spec = TeacherSpec(name=teacher.model, width=16, templates="ulip-64")
    model = Clip2Model(tiny_model().config.model_copy(update={"teacher": spec})).eval()
    words = ["mug", "chair"]
    bank = TextBank(tuple(words), teacher.encode_texts(words, "ulip-64"), teacher.model, "ulip-64")
    expected = model.classify(clouds(2), words, bank).scores
    assert model.classify(clouds(2), words, teacher).scores == pytest.approx(expected, abs=1e-6)
    assert model.teacher.require(teacher).templates == "ulip-64"
    assert teacher.templates == "clip2"  # as it was
    other = teacher.encode_texts(words)
    assert np.abs(other - bank.embeddings).max() > 1e-3  # the prompts matter to this network


def test_a_model_without_label_vectors_asks_for_them() -> None:
    config = tiny_model().config
    nameless = config.model_copy(
        update={"teacher": TeacherSpec(name="local-dir@0123", width=config.teacher.width)}
    )
    with pytest.raises(InputError, match="has no label vectors"):
        Clip2Model(nameless).classify(clouds(1), "mug")


def test_the_text_tower_of_its_clip_is_looked_for_where_a_model_has_no_bank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLIP2_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="cannot be downloaded"):
        Clip2Model(tiny_model().config).classify(clouds(1), "mug")


@pytest.mark.parametrize("labels", ["", [], "mug,mug", "mug,,chair", "unicorn"])
def test_bad_label_lists_are_refused(labels: str | list[str]) -> None:
    with pytest.raises(InputError):
        tiny_model().classify(clouds(1), labels)


def test_the_error_numbers_clouds_across_batches() -> None:
    bad = [*clouds(3), np.full((5, 3), np.nan, np.float32)]
    with pytest.raises(InputError, match="cloud 3"):
        tiny_model().encode(bad, batch_size=2)


def test_temperatures_stay_at_or_below_100() -> None:
    model = tiny_model()
    with torch.no_grad():
        model.log_text_scale.fill_(9.0)
        model.log_image_scale.fill_(1.0)
    model.clamp_scales()
    assert model.log_text_scale.exp().item() == pytest.approx(100)
    assert model.log_image_scale.exp().item() == pytest.approx(2.71828, rel=1e-4)


@pytest.mark.parametrize(
    ("encoder", "said"),
    [
        (EncoderConfig(name="pointnet2_sg"), "pointnet2_ssg"),
        (EncoderConfig(name="pointnet2_ssg", options={"radius": 1}), "radii"),
        (EncoderConfig(name="pointnet2_ssg", options={"feature_channels": 6}), "feature_channels"),
    ],
)
def test_an_impossible_encoder_is_named(encoder: EncoderConfig, said: str) -> None:
    with pytest.raises(InputError, match=said):
        Clip2Model(ModelConfig(encoder=encoder, teacher=TeacherSpec(name="x/y", width=8)))
