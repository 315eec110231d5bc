"""Segment reductions against plain loops."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clip2.ops import segment_max, segment_mean, segment_softmax, segment_sum

rows = st.lists(st.tuples(st.integers(0, 5), st.floats(-100, 100, width=32)), min_size=0, max_size=30)


@settings(max_examples=60, deadline=None)
@given(rows, st.sampled_from([(), (3,), (2, 2)]))
def test_reductions_match_loops_and_empty_segments_are_zero(rows: list, shape: tuple[int, ...]) -> None:
    index = torch.tensor([segment for segment, _ in rows], dtype=torch.int64)
    values = torch.tensor([value for _, value in rows], dtype=torch.float64)
    values = values.view(-1, *[1] * len(shape)) * torch.arange(1, 1 + torch.Size(shape).numel()).view(shape)
    for segment in range(6):
        members = values[index == segment]
        empty = torch.zeros(shape, dtype=torch.float64)
        close = {"rtol": 1e-9, "atol": 1e-9}
        expected_sum = members.sum(0)
        expected_mean = members.mean(0) if len(members) else empty
        expected_max = members.amax(0) if len(members) else empty
        torch.testing.assert_close(segment_sum(values, index, 6)[segment], expected_sum, **close)
        torch.testing.assert_close(segment_mean(values, index, 6)[segment], expected_mean, **close)
        torch.testing.assert_close(segment_max(values, index, 6)[segment], expected_max, **close)
        if len(members):
            shares = segment_softmax(values, index, 6)[index == segment]
            torch.testing.assert_close(shares, torch.softmax(members, 0), **close)


@pytest.mark.parametrize("reduce", [segment_sum, segment_mean, segment_max, segment_softmax])
def test_gradients_of_reductions(reduce: object) -> None:
    torch.manual_seed(0)
    values = torch.randn(12, 2, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([0, 3, 3, 1, 0, 3, 1, 1, 0, 3, 3, 0])
    assert torch.autograd.gradcheck(lambda values: reduce(values, index, 5), (values,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_reductions_keep_the_dtype(dtype: torch.dtype) -> None:
    values, index = torch.tensor([1.0, 2.0, 4.0], dtype=dtype), torch.tensor([1, 1, 0])
    assert segment_sum(values, index, 2).tolist() == [4.0, 3.0]
    assert segment_mean(values, index, 2).tolist() == [4.0, 1.5]
    assert segment_max(values, index, 2).dtype == segment_mean(values, index, 2).dtype == dtype


def test_softmax_of_large_values_stays_finite() -> None:
    shares = segment_softmax(torch.tensor([1000.0, 1000.0, -1000.0]), torch.tensor([0, 0, 1]), 2)
    assert shares.tolist() == [0.5, 0.5, 1.0]


def test_index_of_another_length_or_type_is_refused() -> None:
    with pytest.raises(ValueError, match=r"index must be \(3,\) int64"):
        segment_sum(torch.zeros(3), torch.tensor([0, 1]), 2)
    with pytest.raises(ValueError, match=r"index must be \(2,\) int64"):
        segment_max(torch.zeros(2), torch.tensor([0.0, 1.0]), 2)
