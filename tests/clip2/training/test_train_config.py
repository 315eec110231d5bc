from __future__ import annotations

from pathlib import Path

import pytest

from clip2.training import TrainConfig, load_config
from data_prep.errors import InputError

CONFIGS = Path(__file__).parents[3] / "configs" / "train"


def test_the_shipped_configurations_are_complete_and_valid() -> None:
    assert all(load_config(path) for path in CONFIGS.glob("*.yaml"))
    full = load_config(CONFIGS / "pointnet2.yaml")
    # The full file spells out the defaults, but for the size: triplets are in meters, other training sets may not be.
    assert full.model.preprocessing.size
    preprocessing = full.model.preprocessing.model_copy(update={"size": False})
    model = full.model.model_copy(update={"preprocessing": preprocessing})
    assert full.model_copy(update={"model": model}) == TrainConfig()
    assert load_config(CONFIGS / "pointnet2_small.yaml").model.encoder.name == "pointnet2_ssg_small"


def test_yaml_round_trip(tmp_path: Path) -> None:
    config = load_config(None, ["optimizer.betas=[0.8, 0.9]", "loop.steps=7", "data.folders=[a, b]"])
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    assert load_config(tmp_path / "c.yaml") == config


def test_overrides_come_after_the_file_and_reach_new_depths(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("optimizer: {lr: 0.5}\n")
    config = load_config(tmp_path / "c.yaml", ["optimizer.lr=1e-3", "model.encoder.options.radii=[0.1, 0.2]"])
    assert config.optimizer.lr == 0.001
    assert config.model.encoder.options == {"radii": (0.1, 0.2)}


@pytest.mark.parametrize("text", ["1e-3", "1E-3", "1.0e-3", ".001", "0.001"])
def test_numbers_are_numbers_however_they_are_written(text: str) -> None:
    assert load_config(None, [f"optimizer.lr={text}"]).optimizer.lr == 0.001


@pytest.mark.parametrize(
    ("override", "field", "said"),
    [
        ("optimizer.learning_rat=1", "optimizer.learning_rat", "not a known key"),
        ("optimiser.lr=1", "optimiser", "did you mean optimizer?"),
        ("loop.batchsize=8", "loop.batchsize", "did you mean batch_size?"),
        ("model.preprocessing.num_pts=8", "model.preprocessing.num_pts", "did you mean num_points?"),
        ("optimizer.lr=fast", "optimizer.lr", "'fast' is not possible"),
        ("optimizer.lr='1e-3'", "optimizer.lr", "is not possible"),
        ("optimizer.lr=-1", "optimizer.lr", "greater than 0"),
        ("optimizer.lr=.inf", "optimizer.lr", "finite"),
        ("loop.epochs=.inf", "loop.epochs", "finite"),
        ("augmentation.jitter=.nan", "augmentation.jitter", "finite"),
        ("augmentation.scale=[0.5, .inf]", "augmentation.scale.1", "finite"),
        ("loop.epochs=0", "loop.epochs", "greater than 0"),
        ("loop.batch_size=1.5", "loop.batch_size", "1.5 is not possible"),
        (
            "loop.batch_size=999999999999",
            "loop.batch_size",
            "is not possible: input should be less than or equal to 65536",
        ),
        ("loop.steps=999999999999", "loop.steps", "999999999999 is not possible: input should be less"),
        ("loop.epochs=1e300", "loop.epochs", "less than or equal to 1000000"),
        ("device.devices=999999999999", "device.devices", "less than or equal to 1024"),
        ("device.threads=999999999999", "device.threads", "less than or equal to 1024"),
        ("seed=99999999999999999999", "seed", "less than 9223372036854775808"),
        ("model.preprocessing.num_points=999999999999", "model.preprocessing.num_points", "equal to 65536"),
        (
            "model.encoder.options.num_centers=[999999999999, 128]",
            "model.encoder.options",
            "num_centers holds 999999999999, the largest allowed value is 65536",
        ),
        ("augmentation.rotate_z=1", "augmentation.rotate_z", "1 is not possible"),
        ("augmentation.scale=[2, 1]", "augmentation.scale", "smallest"),
        ("augmentation.point_dropout=1", "augmentation.point_dropout", "less than 1"),
        ("objective.same_text=zero", "objective.same_text", "multi_positive"),
        ("objective={text_weight: 0, image_weight: 0}", "objective", "nothing to learn"),
        ("device.precision=16", "device.precision", "bf16-mixed"),
        ("device.devices=3", None, "does not divide"),
        ("optimizer=3", "optimizer", "is not possible"),
    ],
)
def test_a_wrong_override_is_one_line_that_names_the_key(override: str, field: str | None, said: str) -> None:
    with pytest.raises(InputError) as error:
        load_config(None, [override])
    assert error.value.field == field
    assert error.value.source == "--set"
    assert said in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("optimizer: {lr: 1, lr: 2}", "is repeated"),
        ("- 1", "holds list"),
        ("a: [", "is not YAML"),
        ("loop: {epoch: 3}", "did you mean epochs?"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError) as error:
        load_config(tmp_path / "c.yaml")
    assert str(error.value).startswith(str(tmp_path / "c.yaml"))
    assert said in str(error.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_config(tmp_path / "c.yaml")


def test_an_override_without_a_value() -> None:
    with pytest.raises(InputError, match="KEY=VALUE"):
        load_config(None, ["optimizer.lr"])


def test_init_from_was_called_start(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("start: runs/first\n")
    assert load_config(tmp_path / "c.yaml").init_from == "runs/first"
    assert load_config(None, ["init_from=a"]).to_yaml().splitlines()[1] == "init_from: a"
    with pytest.raises(InputError, match="init_from"):
        load_config(None, ["init_from=3"])
