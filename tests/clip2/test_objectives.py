from __future__ import annotations

import math
from pathlib import Path
from typing import get_args

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.nn.functional import normalize

from clip2.objectives import (
    ContrastiveObjective,
    Embeddings,
    ObjectiveConfig,
    SameText,
    Targets,
    contrastive_loss,
)

# Three samples; the first two are both "chair" (text 0), the third is "table" (text 1). Vectors in the plane.
TEXTS = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
POINTS = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
IDS = torch.tensor([0, 0, 1])


def embeddings(
    points: torch.Tensor = POINTS, text_scale: float = 1.0, image_scale: float = 1.0
) -> Embeddings:
    return Embeddings(points, torch.tensor(text_scale), torch.tensor(image_scale))


def targets(**changes: object) -> Targets:
    return Targets(TEXTS, IDS, IDS[:, None])._replace(**changes)  # type: ignore[arg-type]


def objective(**config: object) -> ContrastiveObjective:
    return ContrastiveObjective(ObjectiveConfig.model_validate({"symmetric_text": False, **config}))


def test_text_term_by_hand_masked() -> None:
    # Cosines of the samples with (chair, chair, table): (1, 1, 0), (.6, .6, .8), (0, 0, 1). Own column against
    # columns of other words only.
    e = math.exp
    by_hand = [
        -math.log(e(1) / (e(1) + e(0))),
        -math.log(e(0.6) / (e(0.6) + e(0.8))),
        -math.log(e(1) / (e(1) + 2 * e(0))),
    ]
    losses = objective(same_text="mask")(embeddings(), targets())
    assert losses.text.item() == pytest.approx(sum(by_hand) / 3)
    assert losses.total.item() == pytest.approx(0.5 * sum(by_hand) / 3)
    assert losses.image is None


def test_text_term_by_hand_with_several_positives() -> None:
    # Target: half on each of the two chair columns.
    e = math.exp
    by_hand = [
        -math.log(e(1) / (2 * e(1) + e(0))),
        -math.log(e(0.6) / (2 * e(0.6) + e(0.8))),
        -math.log(e(1) / (e(1) + 2 * e(0))),
    ]
    assert objective()(embeddings(), targets()).text.item() == pytest.approx(sum(by_hand) / 3)


def test_text_term_by_hand_both_ways() -> None:
    # Text to points: chair sees (1, .6, 0) with positives 0 and 1; table sees (0, .8, 1) with positive 2.
    e = math.exp
    chair, table = e(1) + e(0.6) + e(0), e(0) + e(0.8) + e(1)
    back = [-(1 + 0.6) / 2 + math.log(chair)] * 2 + [-1 + math.log(table)]
    there = objective()(embeddings(), targets()).text.item()
    both = objective(symmetric_text=True)(embeddings(), targets()).text.item()
    assert both == pytest.approx((there + sum(back) / 3) / 2)


def test_a_masked_column_adds_nothing_not_even_one() -> None:
    # With a mask of 0 the other chair would add e^0 = 1 to the denominator of the first row.
    logits, itself = torch.tensor([[2.0, 2.0, -1.0]]), torch.tensor([0])
    positives = torch.tensor([[True, True, False]])
    right = -math.log(math.exp(2) / (math.exp(2) + math.exp(-1)))
    wrong = -math.log(math.exp(2) / (math.exp(2) + 1 + math.exp(-1)))
    loss = contrastive_loss(logits, positives, itself, "mask").item()
    assert loss == pytest.approx(right)
    assert loss != pytest.approx(wrong, rel=0.01)


def test_decoupled_positives_do_not_compete_with_each_other() -> None:
    logits = torch.tensor([[2.0, 1.0, -1.0, 0.0]])
    positives = torch.tensor([[True, True, False, False]])
    negatives = math.exp(-1) + math.exp(0)
    expected = [-math.log(math.exp(x) / (math.exp(x) + negatives)) for x in (2.0, 1.0)]
    loss = contrastive_loss(logits, positives, torch.tensor([0]), "decoupled").item()
    assert loss == pytest.approx(sum(expected) / 2)


@pytest.mark.parametrize("same_text", get_args(SameText))
def test_samples_of_one_word_do_not_push_each_other_away(same_text: str) -> None:
    # A batch of one word has nothing to tell apart: no gradient.
    points = normalize(torch.randn(5, 2, generator=torch.Generator().manual_seed(0))).requires_grad_()
    one_word = Targets(TEXTS, torch.zeros(5, dtype=torch.long), torch.zeros(5, 1, dtype=torch.long))
    objective(same_text=same_text)(embeddings(points), one_word).total.backward()
    assert points.grad is not None
    assert points.grad.abs().max() < 1e-6


def test_a_sample_with_two_words_is_no_negative_of_either() -> None:
    # Sample 0 is shown as text 0 but text 1 is true of it too: sample 2's column must not repel it.
    both = targets(own_texts=torch.tensor([[0, 1], [0, -1], [1, -1]]))
    losses = objective(same_text="mask")(embeddings(), both)
    only_own = torch.tensor(0.0)  # sample 0 has no negatives left
    others = [
        -math.log(math.exp(0.6) / (math.exp(0.6) + math.exp(0.8))),
        -math.log(math.exp(1) / (math.exp(1) + 2)),
    ]
    assert losses.text.item() == pytest.approx((only_own.item() + sum(others)) / 3)


def test_against_the_whole_vocabulary_by_hand() -> None:
    # Two words in all, whatever the batch: softmax over (chair, table).
    by_hand = [
        -math.log(math.exp(1) / (math.exp(1) + 1)),
        -math.log(math.exp(0.6) / (math.exp(0.6) + math.exp(0.8))),
        -math.log(math.exp(1) / (math.exp(1) + 1)),
    ]
    losses = objective(text_negatives="vocabulary")(embeddings(), targets())
    assert losses.text.item() == pytest.approx(sum(by_hand) / 3)


def test_image_term_by_hand_over_samples_with_a_picture() -> None:
    # Samples 0 and 2 have pictures; sample 1's row of the picture matrix is garbage and must not matter.
    images = torch.tensor([[1.0, 0.0], [math.nan, math.nan], [0.0, 1.0]])
    with_pictures = targets(images=images, image_present=torch.tensor([True, False, True]))
    losses = objective(text_weight=0)(embeddings(image_scale=3.0), with_pictures)
    by_hand = -math.log(math.exp(3) / (math.exp(3) + 1))  # cosine 1 with its own, 0 with the other, both ways
    assert losses.text is None
    assert losses.image.item() == pytest.approx(by_hand)
    assert losses.total.item() == pytest.approx(0.5 * by_hand)


def test_no_pictures_means_the_text_term_alone() -> None:
    unseen = targets(images=torch.zeros(3, 2), image_present=torch.zeros(3, dtype=torch.bool))
    with_none, without = objective()(embeddings(), unseen), objective()(embeddings(), targets())
    assert with_none.image is None
    assert with_none.total.item() == without.total.item()


def test_samples_without_a_word_count_only_for_their_picture() -> None:
    ids = torch.tensor([0, -1, 1])
    wordless = targets(text_ids=ids, own_texts=ids[:, None])
    pair = Targets(TEXTS, IDS[[0, 2]], IDS[[0, 2], None])
    for config in ({}, {"symmetric_text": True}, {"text_negatives": "vocabulary"}, {"same_text": "mask"}):
        three = objective(**config)(embeddings(), wordless).text.item()
        two = objective(**config)(embeddings(POINTS[[0, 2]]), pair).text.item()
        assert three == pytest.approx(two)


def test_the_scales_are_separate() -> None:
    scales = [torch.tensor(2.0, requires_grad=True) for _ in range(2)]
    pictures = targets(images=TEXTS[IDS], image_present=torch.tensor([True, True, True]))
    ContrastiveObjective(ObjectiveConfig(image_weight=0)).forward(
        Embeddings(POINTS, *scales), pictures
    ).total.backward()
    assert scales[0].grad is not None
    assert scales[0].grad.abs() > 1e-3
    assert scales[1].grad == 0


def test_nothing_to_learn_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing to learn"):
        ObjectiveConfig(text_weight=0, image_weight=0)


def test_regression_and_relation_by_hand() -> None:
    taught = torch.tensor(
        [[1.0, 0.0], [0.0, 0.0], [0.6, 0.8]]
    )  # sample 1 has no embedding and must not matter
    points = torch.tensor([[1.0, 0.0], [math.nan, math.nan], [0.0, 1.0]])
    only = {"text_weight": 0, "image_weight": 0}
    ids = torch.tensor([-1, -1, -1])
    blank = targets(text_ids=ids, own_texts=ids[:, None], points=taught)
    regression = objective(**only, regression_weight=2.0)(embeddings(points), blank)
    assert regression.points.item() == pytest.approx(2 * (0 + (1 - 0.8)) / 2)
    # The cosine of the pair is 0, of its teacher's embeddings 0.6; each of the two rows has itself and the other.
    relation = objective(**only, relation_weight=3.0)(embeddings(points), blank)
    assert relation.points.item() == pytest.approx(3 * 0.6**2 / 2)


def test_no_embedding_in_the_batch_is_no_term() -> None:
    losses = objective(regression_weight=1.0)(embeddings(), targets(points=torch.zeros(3, 2)))
    assert losses.points is None


# -- the batch spread over two processes ---------------------------------------------------------------------------

CONFIGS = [
    {"symmetric_text": True},
    {"same_text": "mask"},
    {"same_text": "decoupled"},
    {"text_negatives": "vocabulary", "symmetric_text": True},
    {"regression_weight": 2.0, "relation_weight": 3.0},
]


def _whole_batch() -> tuple[torch.Tensor, torch.Tensor, Targets]:
    random = torch.Generator().manual_seed(4)
    inputs = torch.randn(8, 5, generator=random)
    weight = torch.randn(4, 5, generator=random)
    texts = normalize(torch.randn(6, 4, generator=random))
    own = torch.tensor([[0, 1], [0, -1], [2, -1], [-1, -1], [1, 3], [4, -1], [0, -1], [5, -1]])
    images = normalize(torch.randn(8, 4, generator=random))
    seen = torch.tensor([True, True, True, False, False, False, True, False])  # three here, one there
    taught = normalize(torch.randn(8, 4, generator=random))
    taught[[2, 5, 6]] = 0  # no embedding: one here, two there
    return inputs, weight, Targets(texts, own[:, 0].clone(), own, images, seen, taught)


def _gradients(config: dict, part: slice) -> list[torch.Tensor]:
    inputs, weight, whole = _whole_batch()
    weight.requires_grad_()
    scales = [torch.tensor(3.0, requires_grad=True), torch.tensor(5.0, requires_grad=True)]
    mine = Targets(whole.texts, *(value[part] for value in whole[1:]))
    points = normalize(inputs[part] @ weight.T)
    objective(**config)(Embeddings(points, *scales), mine).total.backward()
    return [value.grad for value in (weight, *scales)]


def _one_rank(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    for number, config in enumerate(CONFIGS):
        gradients = _gradients(config, slice(4 * rank, 4 * rank + 4))
        for gradient in gradients:
            dist.all_reduce(gradient)  # DDP sums over ranks and divides by their number
        if rank == 0:
            torch.save([gradient / 2 for gradient in gradients], f"{folder}/{number}.pt")
    dist.destroy_process_group()


def test_two_processes_have_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    mp.start_processes(_one_rank, args=(str(tmp_path),), nprocs=2, start_method="forkserver")
    for number, config in enumerate(CONFIGS):
        whole = _gradients(config, slice(0, 8))
        spread = torch.load(tmp_path / f"{number}.pt", weights_only=True)
        for one, two in zip(whole, spread, strict=True):
            assert (two - one).abs().max() < 1e-6
            assert one.abs().max() > 1e-4
