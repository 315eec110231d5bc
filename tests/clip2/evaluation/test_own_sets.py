"""A user's own clouds and triplets as benchmarks, and the tasks on prompts and unknown objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import trimesh
from support.evaluation_stand_ins import FLAT, TALL, TEN, RuleModel, flat_or_tall, put_mesh, rule_bank

import clip2
from clip2.evaluation import Settings
from clip2.teacher import PROMPTS, Teacher
from clip2.teacher.embed import embed_triplets
from clip2.teacher.features import load_features
from clip2.teacher.prompts import fill_templates
from data_prep.errors import InputError
from data_prep.triplets import Provenance, Triplet, write_triplets


def block(size: tuple[float, ...], seed: int) -> np.ndarray:
    """(200, 3) points in a box."""
    return np.random.default_rng(seed).uniform(-0.5, 0.5, (200, 3)) * size


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Two tables and two chairs in four formats, one chair lying flat."""
    for label in ("table", "chair", "night_stand"):
        (tmp_path / "own" / label).mkdir(parents=True)
    np.save(tmp_path / "own/table/one.npy", block(FLAT, 0).astype(np.float32))
    np.savetxt(tmp_path / "own/table/two.xyz", block((2, 1, 0.2), 1))
    trimesh.PointCloud(block(TALL, 2)).export(tmp_path / "own/chair/one.ply")
    trimesh.creation.box(FLAT).export(tmp_path / "own/chair/two.off")
    return tmp_path / "own"


def test_a_folder_of_clouds_by_hand(own: Path) -> None:
    (result,) = clip2.evaluate(RuleModel(TEN, flat_or_tall), "clouds", own)
    assert (result.count, result.metrics["top-1"].value) == (4, 0.75)
    assert [row.label for row in result.classes] == ["chair", "table"]
    assert "folders without clouds: night_stand" in result.conditions.counted
    assert result.conditions.other["size"].startswith("not metric")
    settings = Settings(options={"units": "m"})
    assert clip2.evaluate(RuleModel(TEN, flat_or_tall), "clouds", own, settings=settings)[
        0
    ].conditions.other == {
        "size": "meters",
        "class list": "the folders' names",
    }


def test_all_takes_folders_of_clouds_only_where_nothing_else_fits(own: Path) -> None:
    model = RuleModel(TEN, flat_or_tall)
    assert [result.benchmark for result in clip2.evaluate(model, "all", own)] == ["clouds"]
    put_mesh(own / "ModelNet10", "table", 0, FLAT)
    assert [result.benchmark for result in clip2.evaluate(model, "all", own)] == ["modelnet10"]


@pytest.mark.parametrize("content", [b"", b"1 2 nan\n3 4 5\n1 1 1\n", b"hello"])
def test_a_broken_cloud_names_its_file(own: Path, content: bytes) -> None:
    (own / "chair" / "zero.xyz").write_bytes(content)
    with pytest.raises(InputError, match=r"zero\.xyz"):
        clip2.evaluate(RuleModel(TEN, flat_or_tall), "clouds", own)


def put_triplets(folder: Path) -> Path:
    """A table and two chairs, with crops of one color each; the last has none."""
    rows = []
    for number, (label, size) in enumerate((("table", FLAT), ("chair", TALL), ("chair", (1, 1, 2)))):
        crop = None if number == 2 else np.full((40, 30, 3), 60 * number + 40, np.uint8)
        provenance = Provenance(source="test", frame=str(number), center=(0.0, 0.0, 0.0))
        cloud = block(size, number).astype(np.float32)
        rows.append(Triplet(f"t-{number}", cloud, None, crop, (label,), provenance))
    write_triplets(folder, rows, source="test")
    return folder


def test_retrieval_by_crops(tmp_path: Path) -> None:
    folder = put_triplets(tmp_path / "triplets")
    with pytest.raises(InputError, match="clip2 embed"):
        clip2.evaluate("mini-points", "triplets/retrieval", folder)
    embed_triplets(folder, teacher=Teacher.load("mini"))
    model = clip2.load("mini-points")
    (result,) = clip2.evaluate(model, "triplets/retrieval", folder)
    assert "2 of 3 objects have a crop; only the crop's own object is right" in result.notes
    images = load_features(folder).image[:2].astype(np.float32)
    clouds = model.encode([block(FLAT, 0).astype(np.float32), block(TALL, 1).astype(np.float32)]).numpy()
    scores = images @ clouds.T
    ranks = [1 + int(scores[i, 1 - i] > scores[i, i]) for i in range(2)]
    assert result.metrics["crop to cloud median rank"].value == np.median(ranks)
    assert result.metrics["cloud to crop R@5"].value == 1
    assert result.metrics["cloud to cloud R@1"].value in (0, 0.5, 1)  # the two chairs look for each other


def test_triplets_are_their_own_classes(tmp_path: Path) -> None:
    model = RuleModel(TEN, flat_or_tall)
    (result,) = clip2.evaluate(model, "triplets", put_triplets(tmp_path / "triplets"))
    assert (result.count, result.metrics["top-1"].value) == (3, 1.0)
    settings = Settings(trained_on=(tmp_path / "triplets",))
    (result,) = clip2.evaluate(model, "triplets", tmp_path / "triplets", settings=settings)
    assert f"3 of 3 test objects are also in {tmp_path / 'triplets'}" in result.notes


def test_one_sentence_of_a_prompt_set() -> None:
    assert fill_templates("mug", "ulip-64/3") == [PROMPTS["ulip-64"][3].format("mug")]
    assert [fill_templates("mug", f"clip-80/{i}")[0] for i in range(80)] == fill_templates("mug", "clip-80")
    for wrong in ("ulip-64/64", "ulip-64/", "ulip-64/x", "ulip/3"):
        with pytest.raises(InputError, match="is unknown"):
            fill_templates("mug", wrong)


def test_the_spread_over_single_prompts(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PROMPTS, "two", ("a {}", "a photo of a {}."))
    settings = Settings(options={"templates": "two"})
    (result,) = clip2.evaluate("mini-points", "clouds/prompts", own, settings=settings)
    tower = Teacher.load("mini")
    first, second = (tower.encode_texts(["chair", "table"], f"two/{number}") for number in range(2))
    assert not np.allclose(first, second)
    assert {"mean of 2 single prompts", "lowest of single prompts", "highest of single prompts"} < set(
        result.metrics
    )
    low, high = (result.metrics[f"{end} of single prompts"].value for end in ("lowest", "highest"))
    assert result.metrics["mean of 2 single prompts"].value == pytest.approx((low + high) / 2)
    with pytest.raises(InputError, match="has no text tower, and vectors for no synonym"):
        clip2.evaluate(RuleModel(TEN, flat_or_tall), "clouds/prompts", own)
    with pytest.raises(InputError, match="'three' is unknown"):
        clip2.evaluate(
            "mini-points", "clouds/prompts", own, settings=Settings(options={"templates": "three"})
        )


def test_unknown_objects_of_a_set_by_hand(own: Path) -> None:
    # Only tables are asked for. The rule puts a tall chair on another axis, cosine 0; the flat chair looks like a table.
    settings = Settings(options={"labels": "table"})
    (result,) = clip2.evaluate(RuleModel(TEN, flat_or_tall), "clouds/open-set", own, settings=settings)
    assert result.metrics["AUROC, cosine"].value == 0.75  # of two chairs one ties with both tables
    assert (result.metrics["known objects"].value, result.metrics["others"].value) == (2, 2)
    settings = Settings(options={"labels": "unicorn"})
    with pytest.raises(InputError, match="'unicorn' is not a class of clouds"):
        clip2.evaluate(RuleModel(TEN, flat_or_tall), "clouds/open-set", own, settings=settings)


def test_a_bank_of_another_space_is_refused(own: Path) -> None:
    with pytest.raises(InputError, match="ViT-B-16/openai"):
        clip2.evaluate(RuleModel(TEN, flat_or_tall), "clouds", own, text=rule_bank(TEN, "ViT-B-16/openai"))
