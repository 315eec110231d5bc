"""Encoders by name and config."""

from __future__ import annotations

import pytest

from clip2.encoders import (
    PointEncoder,
    create_encoder,
    encoder,
    encoder_options,
    list_encoders,
    register_encoder,
)
from data_prep.registry import Registry


def test_names_are_sorted_and_each_builds() -> None:
    assert list_encoders() == sorted(list_encoders())
    assert {"pointnet2_ssg", "pointnet2_ssg_small", "pointnet2_msg", "pointnet"} <= set(list_encoders())


def test_config_reaches_the_model() -> None:
    built = create_encoder("pointnet2_ssg", widths=((8, 8), (8, 16), (16, 24)), feature_channels=1)
    assert (built.width, built.feature_channels) == (24, 1)
    assert encoder_options("pointnet2_ssg")["feature_channels"] == 3


def test_unknown_names_and_keys_are_named_with_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"encoder: 'pointnet2_sgg' is unknown.*did you mean 'pointnet2_ssg'"
    ):
        create_encoder("pointnet2_sgg")
    with pytest.raises(
        ValueError, match=r"pointnet2_ssg has no option 'feature_chanels'.*'feature_channels'"
    ):
        create_encoder("pointnet2_ssg", feature_chanels=3)


def test_impossible_values_are_named() -> None:
    with pytest.raises(ValueError, match=r"feature_channels must be 0 or more, not -1"):
        create_encoder("pointnet2_ssg", feature_channels=-1)
    with pytest.raises(ValueError, match=r"num_centers must not grow"):
        create_encoder("pointnet2_ssg", num_centers=(64, 128))


def test_a_registered_function_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder, "ENCODERS", Registry("encoder"))

    @register_encoder
    def nothing_at_all(feature_channels: int = 0) -> PointEncoder:
        return PointEncoder(7, feature_channels)

    assert list_encoders() == ["nothing_at_all"]
    assert create_encoder("nothing_at_all").width == 7
