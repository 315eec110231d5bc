"""Flags made from a configuration class: what is typed overrides, and nothing else does."""

from __future__ import annotations

from typing import Literal

import pytest
import tyro
from pydantic import Field

from clip2.cli.config_flags import flags_of, given, with_flags
from data_prep.config import TypedConfig
from data_prep.errors import InputError


class Engine(TypedConfig):
    """Engine.

    Attributes:
        enabled: switch it on.
        power: kilowatts.
        fuel_kind: what it burns.
    """

    enabled: bool = False
    power: int = Field(default=50, ge=1)
    fuel_kind: Literal["gas", "oil"] = "gas"


class Car(TypedConfig):
    """Car."""

    weight: float = 900.0
    open_top: bool = True
    names: tuple[str, ...] = ()
    engine: Engine = Engine()


def typed(*arguments: str) -> dict[str, object]:
    return given(tyro.cli(flags_of(Car), args=arguments))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {}),
        (["--weight", "900"], {"weight": 900.0}),
        (["--open-top", "False"], {"open_top": False}),
        (["--engine"], {"engine": {"enabled": True}}),
        (["--engine.power", "7", "--engine.fuel-kind", "oil"], {"engine": {"power": 7, "fuel_kind": "oil"}}),
    ],
)
def test_only_what_was_typed_is_given(arguments: list[str], expected: dict[str, object]) -> None:
    assert typed(*arguments) == expected


def test_a_flag_changes_its_key_alone() -> None:
    car = Car(weight=700, names=("Ann",), engine=Engine(power=9))
    assert with_flags(car, typed("--engine", "--open-top", "False")) == Car(
        weight=700, open_top=False, names=("Ann",), engine=Engine(enabled=True, power=9)
    )


def test_an_impossible_value_is_one_line() -> None:
    with pytest.raises(
        InputError, match=r"^options: engine\.power: 0 is not possible: input should be greater"
    ):
        with_flags(Car(), typed("--engine.power", "0"))


def test_help_has_the_text_and_the_default_of_each_field(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        tyro.cli(flags_of(Car), args=["--help"])
    out = " ".join(capsys.readouterr().out.replace("│", "").split())
    assert "--engine.power INT kilowatts. (default: 50)" in out
    assert "--engine.fuel-kind {gas,oil} what it burns. (default: gas)" in out
    assert "--names" not in out
