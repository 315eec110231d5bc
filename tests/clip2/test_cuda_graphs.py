"""Inference on recorded work: the bookkeeping with a stand-in for CUDA graphs, the real ones where a GPU is at hand."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from clip2.cuda_graphs import LARGEST_BATCH, GraphedInference, why_no_graphs
from clip2.model import Clip2Model
from clip2.model_config import EncoderConfig, ModelConfig, TeacherSpec
from clip2.preprocessing import Preprocessing

Outputs = tuple[Tensor, ...]


class Recorder:
    """Replays as a graph does: the same work on the same inputs, into the same outputs."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def __call__(self, work: Callable[[], Outputs]) -> tuple[Outputs, Callable[[], None]]:
        self.recorded += 1
        outputs = work()

        def replay() -> None:
            self.replayed += 1
            for output, value in zip(outputs, work(), strict=True):
                output.copy_(value)

        return outputs, replay


@pytest.fixture(params=["pointnet2_ssg_small", "pointnext_s", "pointbert"])
def model(request: pytest.FixtureRequest) -> Clip2Model:
    return make_model(request.param)


def make_model(name: str = "pointnet") -> Clip2Model:
    options = {
        "pointnet": {"widths": (8, 16)},
        "pointbert": {"num_patches": 8, "patch_size": 4, "dim": 24, "depth": 2, "heads": 3},
        "pointnext_s": {"width": 8},
    }
    torch.manual_seed(0)
    config = ModelConfig(
        encoder=EncoderConfig(name=name, options=options.get(name, {})),
        preprocessing=Preprocessing(num_points=64, size=True),
        teacher=TeacherSpec(name="ViT-B-32/openai", width=12),
    )
    return Clip2Model(config).eval()


def objects(count: int, seed: int = 0) -> tuple[list[NDArray[np.float32]], list[NDArray[np.uint8] | None]]:
    """Some have fewer points than the model sees, some no color."""
    draw = np.random.default_rng(seed)
    clouds = [draw.random((int(draw.integers(5, 200)), 3), dtype=np.float32) for _ in range(count)]
    colors = [
        draw.integers(0, 256, cloud.shape, dtype=np.uint8) if draw.random() < 0.7 else None
        for cloud in clouds
    ]
    return clouds, colors


def recorded(model: Clip2Model) -> Recorder:
    recorder = Recorder()
    model.graphs = GraphedInference(recorder)
    return recorder


def test_recorded_batches_say_the_same(model: Clip2Model) -> None:
    plain = [model.encode(*objects(count, seed=count)) for count in (5, 8, 1, 6)]
    recorder = recorded(model)
    for _ in range(2):
        for count, expected in zip((5, 8, 1, 6), plain, strict=True):
            found = model.encode(*objects(count, seed=count))
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    # 5, 8 and 6 objects share the size 8: plain, recorded, replayed. The single one is recorded in the second round.
    assert recorder.recorded == len(model.graphs) == 2
    assert recorder.replayed == 6


def test_every_run_reads_the_same_places_and_results_are_the_callers() -> None:
    model, read = make_model(), []
    recorded(model)
    infer = model._infer

    def watched(batch: object) -> Outputs:
        read.append([None if part is None else part.data_ptr() for part in batch])
        return infer(batch)

    model._infer = watched
    model.encode(*objects(4))
    first = model.encode(*objects(3, seed=1))
    kept = first.clone()
    model.encode(*objects(4, seed=2))
    assert read[1] == read[2] == read[3]
    assert read[0] != read[1]
    assert torch.equal(first, kept)


def test_what_is_not_met_again_is_not_recorded() -> None:
    model = make_model()
    recorder = recorded(model)
    for count in (1, 2, 4, 8):
        model.encode(*objects(count))
    assert recorder.recorded == 0
    with torch.autocast("cpu", torch.bfloat16):  # another number format is other work
        model.encode(*objects(4))
    assert recorder.recorded == 0


def test_large_batches_are_not_recorded() -> None:
    model = make_model()
    recorder = recorded(model)
    for _ in range(3):
        model.encode(*objects(LARGEST_BATCH + 1), batch_size=1000)
    assert recorder.recorded == 0


def test_weights_that_change_in_place_are_seen_and_weights_that_move_are_recorded_anew() -> None:
    model = make_model()
    recorder = recorded(model)
    before = [model.encode(*objects(4)) for _ in range(3)][-1]
    with torch.no_grad():
        model.projection.weight.neg_()
        model.projection.bias.neg_()
    torch.testing.assert_close(model.encode(*objects(4)), -before)
    assert recorder.recorded == 1
    model.projection.weight = torch.nn.Parameter(-model.projection.weight.detach())
    model.projection.bias = torch.nn.Parameter(-model.projection.bias.detach())
    for _ in range(2):
        torch.testing.assert_close(model.encode(*objects(4)), before)
    assert recorder.recorded == 2


def test_a_copy_of_a_model_records_its_own() -> None:
    model = make_model()
    recorded(model)
    for _ in range(3):
        model.encode(*objects(4))
    assert len(model.graphs) == 1
    twin = copy.deepcopy(model)
    assert len(twin.graphs) == 0
    assert torch.equal(twin.encode(*objects(4)), model.encode(*objects(4)))


def test_it_is_said_why_there_are_no_graphs(caplog: pytest.LogCaptureFixture) -> None:
    assert why_no_graphs(torch.device("cpu")) == "the model is on cpu"
    if not torch.cuda.is_available():
        assert why_no_graphs() == "no CUDA device"
    with caplog.at_level("DEBUG", logger="clip2.cuda_graphs"):
        make_model().encode(*objects(2))
    assert "the model is on cpu" in caplog.text


def test_searches_in_pure_torch_hinder_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("CLIP2_OPS_BACKEND", "torch")
    assert why_no_graphs() == "farthest_point_sample, ball_query, knn not served by triton"


def test_a_failed_recording_is_said_once_and_the_answers_come_all_the_same(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing\nmore of it")

    monkeypatch.setattr("clip2.cuda_graphs.why_no_graphs", lambda device: None)
    monkeypatch.setattr(GraphedInference, "_cuda_graph", fail)
    model = make_model()
    first, *others = [model.encode(*objects(4)) for _ in range(4)]
    assert all(torch.equal(first, other) for other in others)
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "inference runs without CUDA graphs; recording failed: operation not permitted when stream is capturing"
    ]


@pytest.mark.gpu
def test_graphs_on_a_gpu_say_the_same(model: Clip2Model) -> None:
    expected = model.encode(*objects(6))
    model.cuda()
    assert why_no_graphs(model.device) is None
    for low, close in ((False, 1e-4), (True, 3e-2)):
        with torch.autocast("cuda", torch.bfloat16, enabled=low):
            for count in (6, 8, 5, 6):
                found = model.encode(*objects(count))
                if count == 6:
                    torch.testing.assert_close(found, expected, rtol=close, atol=close)
    assert len(model.graphs) == 2


@pytest.mark.gpu
def test_graphs_on_a_gpu_share_memory_without_harm() -> None:
    model = make_model("pointnet2_ssg_small")
    expected = {count: model.encode(*objects(count, seed=count)) for count in (1, 3, 7, 20, 60)}
    model.cuda()
    for _ in range(4):
        for count, plain in expected.items():
            found = model.encode(*objects(count, seed=count))
            torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-4)
    assert len(model.graphs) == 5
