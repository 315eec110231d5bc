"""Encoder inference and training on a GPU, checked without one: only shapes are computed, nothing may wait for a value."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from typing import Any

import pytest
import torch
from torch import Tensor
from torch._subclasses import FakeTensorMode
from torch._subclasses.fake_tensor import DataDependentOutputException
from torch.utils._python_dispatch import TorchDispatchMode

from clip2.encoders import PointEncoder, create_encoder, list_encoders
from clip2.encoders.shared_mlp import GroupedMLP
from clip2.ops import ball_query, farthest_point_sample, knn, native, registry, segment_sum
from tests.support.narrow_encoders import create_narrow_encoder

pytest.importorskip("triton")

aten = torch.ops.aten


class NothingFromTheHost(TorchDispatchMode):
    """Refuses to read a value and to copy numbers from one device to another; both stall a GPU, and end a recording.

    Below it a `FakeTensorMode` refuses all operations whose shape depends on values.
    """

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        result = func(*args, **kwargs)
        devices = {value.device.type for value in given if value.ndim}
        devices |= {result.device.type} if isinstance(result, Tensor) else set()
        assert func not in (aten._local_scalar_dense.default, aten.lift_fresh.default), f"{func} of {given}"
        assert devices <= {"cuda"}, f"{func} of {given}"
        return result


class NotStarted:
    """In place of a kernel: it is called, and leaves its outputs as they are."""

    def __getitem__(self, grid: tuple[int, ...]) -> NotStarted:
        assert all(isinstance(size, int) for size in grid)
        return self

    def __call__(self, *arguments: Any, **options: Any) -> None:
        assert all(argument.device.type != "cpu" for argument in arguments if isinstance(argument, Tensor))


@pytest.fixture
def served_by_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    from clip2.ops import triton_kernels

    for kernel in ("_farthest_resident", "_farthest", "_ball", "_nearest"):
        monkeypatch.setattr(triton_kernels, kernel, NotStarted())
    monkeypatch.setattr(registry, "kernel", lambda op, device: getattr(triton_kernels, op))


@pytest.fixture(scope="module", autouse=True)
def first_backward_pass() -> None:
    """Torch starts threads for the devices it sees at its first backward pass; then the tests that fork cannot train."""
    torch.ones(1, requires_grad=True).sum().backward()


@pytest.fixture
def without_a_driver(first_backward_pass: None) -> None:
    """Skips where torch wants a CUDA driver to compute shapes alone, as torch 2.6 does for random numbers."""
    try:
        with FakeTensorMode(), torch.device("cuda"):
            torch.empty(1).uniform_()
    except RuntimeError as error:
        if "driver" in str(error):
            pytest.skip("this torch asks for a CUDA driver where only shapes are computed")
        raise


@pytest.mark.usefixtures("without_a_driver", "served_by_triton")
@pytest.mark.parametrize("ragged", [False, True])
@pytest.mark.parametrize("name", list_encoders())
def test_inference_never_waits_for_the_gpu(name: str, ragged: bool) -> None:
    with FakeTensorMode(), torch.device("cuda"), torch.no_grad():
        encoder = create_encoder(name).eval()
        points, colors = torch.rand(3, 700, 3), torch.rand(3, 700, 3)
        lengths = torch.ones(3, dtype=torch.int64) if ragged else None
        present = torch.ones(3, dtype=torch.bool)
        with NothingFromTheHost():
            for features in (colors, None):
                embedding = encoder(points, features, features_present=present, lengths=lengths)
    assert embedding.shape == (3, encoder.width)
    assert embedding.is_cuda


class CountReads(TorchDispatchMode):
    """Answers 0 to whoever reads a value, and counts."""

    reads = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is aten._local_scalar_dense.default:
            self.reads += 1
            return 0
        return func(*args, **(kwargs or {}))


@pytest.mark.usefixtures("served_by_triton")
@pytest.mark.parametrize("name", list_encoders())
def test_a_training_step_stays_on_its_device(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both passes, on a device without memory: nothing falls back to the host, where there would be no numbers."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())  # it does not know the device
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda _: False)
    with torch.device("meta"):
        encoder = create_encoder(name).train()
        points, colors = torch.rand(3, 700, 3), torch.rand(3, 700, 3)
        with CountReads() as host:
            encoder(points, colors).sum().backward()
    assert all(
        parameter.grad is not None
        for parameter in encoder.parameters()
        if parameter is not encoder.absent_features
    )
    # The sign of BatchNorm's scales decides how a shared MLP finds its maximum: one question to each.
    assert host.reads == sum(isinstance(module, GroupedMLP) for module in encoder.modules())


@pytest.mark.usefixtures("without_a_driver")
def test_pure_torch_is_caught_waiting() -> None:
    """So the test above would see it."""
    with FakeTensorMode(), torch.device("cuda"):
        points = torch.rand(1, 50, 3)
        with (
            NothingFromTheHost(),
            pytest.raises((AssertionError, torch._subclasses.DynamicOutputShapeException)),
        ):
            registry.plain("ball_query")(points, points, 0.1, 4, None)
        with NothingFromTheHost(), pytest.raises((AssertionError, DataDependentOutputException)):
            bool(points.any())
        with NothingFromTheHost(), pytest.raises(AssertionError):
            points.new_tensor(range(3))
        with NothingFromTheHost(), pytest.raises(AssertionError):
            points.to("cpu")


@pytest.mark.parametrize("name", list_encoders())
def test_padding_that_is_worked_on_changes_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of a GPU, taken on a CPU: same embeddings, whatever lies in the padding."""
    encoder = _narrow(name)
    points, colors = torch.rand(3, 90, 3) - 0.5, torch.rand(3, 90, 3)
    lengths = torch.tensor([90, 41, 3])
    with torch.no_grad():
        expected = encoder(points, colors, lengths=lengths)
        for module in ("padding", "patches", "pointnet2", "pointnext"):
            monkeypatch.setattr(
                f"clip2.encoders.{module}.leaves_out_padding", lambda device, training: training
            )
        points[1, 41:], colors[2, 3:] = torch.nan, 1e9
        found = encoder(points, colors, lengths=lengths)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def _narrow(name: str) -> PointEncoder:
    torch.manual_seed(0)
    encoder = create_narrow_encoder(name)
    with torch.no_grad():
        encoder(torch.rand(4, 64, 3), torch.rand(4, 64, 3))  # running statistics
    return encoder.eval()


def test_native_kernels_never_read_memory_that_is_not_the_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even where somebody asks for them: an address on another device would crash the process."""
    if problem := native.problem():
        pytest.skip(problem)

    def refuse(op: str, *_: object) -> None:
        raise AssertionError(f"{op} called")

    monkeypatch.setattr(native, "call", refuse)
    points, index = torch.rand(1, 9, 3, device="meta"), torch.zeros(9, dtype=torch.int64, device="meta")
    with registry.use_backend("native"):
        for work in (
            lambda: farthest_point_sample(points, 4),
            lambda: ball_query(points, points, 0.1, 4),
            lambda: ball_query(points.new_zeros(1, 9, 3, device="cpu"), points, 0.1, 4),
            lambda: knn(points, points, 4),
            lambda: segment_sum(points[0], index, 3),
            lambda: segment_sum(points[0], index.new_zeros(9, device="cpu"), 3),
        ):
            # What it is passed on to may not be made for a device without memory.
            with suppress(NotImplementedError, RuntimeError, TypeError):
                work()
