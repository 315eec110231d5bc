"""Open-vocabulary detectors of Hugging Face: OWL-ViT, OWLv2, Grounding DINO and successors.

Any model that transformers loads by ``AutoModelForZeroShotObjectDetection`` works. Two families have their own code
path: OWL models encode the phrases once per run (https://arxiv.org/abs/2306.09683), and Grounding DINO models take a
limited number of tokens per prompt (https://arxiv.org/abs/2303.05499).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.detect.detections import Detections2D
from data_prep.detect.pretrained import Pretrained, load_pretrained
from data_prep.detect.vocabulary import Vocabulary
from data_prep.errors import InputError

_QUERIES_AT_ONCE = 64  # for models without a code path of their own

# Boxes (M, 4) in pixels, scores (M,) and phrase numbers (M,) of one image.
_Found = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


class HuggingFaceDetector:
    """A zero-shot detection model that searches for the labels of a vocabulary.

    Args:
        name: repository on the hub, or a folder (plain or as ``local-dir:FOLDER``) as ``save_pretrained`` writes it.
        vocabulary: labels to search for.
        device: ``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``.
        precision: ``fp32``, ``fp16``, ``bf16``, or ``auto``: bf16 or else fp16 on a GPU, fp32 on a CPU. Weights stay
            float32 (autocast).
        batch_size: images per forward pass.
        revision: commit, tag or branch of the repository.

    Raises:
        InputError: transformers is not installed; the weights cannot be found or fetched; the model is of another kind;
            no such device; a phrase is too long for the model.
    """

    def __init__(
        self,
        name: str,
        vocabulary: Vocabulary,
        *,
        device: str = "auto",
        precision: str = "auto",
        batch_size: int = 8,
        revision: str | None = None,
    ) -> None:
        if batch_size < 1:
            raise InputError(f"is {batch_size}", field="batch_size", fix="give 1 or more")
        self._loaded = load_pretrained(
            name, "AutoModelForZeroShotObjectDetection", device=device, precision=precision, revision=revision
        )
        self.vocabulary, self.batch_size = vocabulary, batch_size
        self.labels = vocabulary.labels
        self._phrases, self._label_of = vocabulary.queries()
        with self._loaded.inference("batch_size"):
            self._network = _network(self._loaded, self._phrases)

    def detect(self, images: Sequence[NDArray[np.uint8]], min_score: float) -> list[Detections2D]:
        """As :class:`~data_prep.detect.detector.Detector`.

        Raises:
            InputError: the batch does not fit into the GPU's memory.
        """
        return [
            self._answer(found, image)
            for start in range(0, len(images), self.batch_size)
            for found, image in zip(
                self._predict(images[start : start + self.batch_size], min_score),
                images[start : start + self.batch_size],
                strict=True,
            )
        ]

    def settings(self) -> Mapping[str, Any]:
        """Name, version of the weights, precision, vocabulary."""
        return {**self._loaded.describe(), "vocabulary": self.vocabulary.describe()}

    def _predict(self, images: Sequence[NDArray[np.uint8]], min_score: float) -> list[_Found]:
        with self._loaded.inference("batch_size"):
            return self._network.predict(images, min_score)

    def _answer(self, found: _Found, image: NDArray[np.uint8]) -> Detections2D:
        boxes, scores, phrases = (part.float().cpu().numpy() for part in found)
        height, width = image.shape[:2]
        boxes = np.clip(boxes, 0, [width, height, width, height])
        good = np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return Detections2D(
            boxes=boxes[good],
            scores=np.clip(scores[good], 0, 1),
            labels=tuple(self.labels[self._label_of[int(phrase)]] for phrase in phrases[good]),
        )


class _Network(Protocol):
    def predict(self, images: Sequence[NDArray[np.uint8]], min_score: float) -> list[_Found]: ...


def _network(loaded: Pretrained, phrases: Sequence[str]) -> _Network:
    families: dict[str, Callable[[Pretrained, Sequence[str]], _Network]] = {
        "owlvit": _Owl,
        "owlv2": _Owl,
        "grounding-dino": _GroundingDino,
        "mm-grounding-dino": _GroundingDino,
    }
    return families.get(loaded.model.config.model_type, _Other)(loaded, phrases)


class _Owl:
    """Phrases are encoded once; each image patch returns its best phrase."""

    def __init__(self, loaded: Pretrained, phrases: Sequence[str]) -> None:
        self._loaded = loaded
        text = loaded.processor.tokenizer(
            list(phrases), padding="max_length", truncation=True, return_tensors="pt"
        ).to(loaded.device)
        backbone = getattr(loaded.model, loaded.model.config.model_type)
        parts = []
        for start in range(0, len(phrases), 256):
            features = backbone.get_text_features(
                input_ids=text["input_ids"][start : start + 256],
                attention_mask=text["attention_mask"][start : start + 256],
            )
            # A tensor up to transformers 4, an output object since.
            parts.append(features if isinstance(features, torch.Tensor) else features.pooler_output)
        self._words = torch.nn.functional.normalize(torch.cat(parts).float(), dim=-1)

    def predict(self, images: Sequence[NDArray[np.uint8]], min_score: float) -> list[_Found]:
        model = self._loaded.model
        pixels = self._loaded.processor.image_processor(list(images), return_tensors="pt")["pixel_values"]
        features = model.image_embedder(pixel_values=pixels.to(self._loaded.device))[0]
        # In half precision a coordinate near 1 would be off by four pixels in a thousand.
        with torch.autocast(self._loaded.device.type, enabled=False):
            features = features.float()
            flat = features.flatten(1, 2)
            words = self._words.expand(len(images), -1, -1)
            outputs = _Outputs(model.class_predictor(flat, words)[0], model.box_predictor(flat, features))
        # The image processor knows how the image was padded and scaled.
        answers = self._loaded.processor.image_processor.post_process_object_detection(
            outputs=outputs, threshold=min_score, target_sizes=_sizes(images)
        )
        return [(answer["boxes"], answer["scores"], answer["labels"]) for answer in answers]


class _GroundingDino:
    """Each prompt holds as many phrases as fit; a box gets the phrase with the highest score.

    The score of a phrase is the mean over its tokens, as in the authors' evaluation: the maximum would let ``stop
    sign`` score by ``sign`` alone.
    """

    def __init__(self, loaded: Pretrained, phrases: Sequence[str]) -> None:
        self._loaded = loaded
        tokenizer = loaded.processor.tokenizer
        self._first, self._last = tokenizer.cls_token_id, tokenizer.sep_token_id
        self._stop = tokenizer.convert_tokens_to_ids(".")
        # Full stop and question mark separate the phrases of a prompt.
        tokens = [
            tokenizer(phrase.replace(".", " ").replace("?", " "), add_special_tokens=False)["input_ids"]
            for phrase in phrases
        ]
        self._chunks = list(self._fill(tokens, phrases, loaded.model.config.max_text_len))

    def predict(self, images: Sequence[NDArray[np.uint8]], min_score: float) -> list[_Found]:
        device = self._loaded.device
        inputs = self._loaded.processor.image_processor(list(images), return_tensors="pt").to(device)
        scale = torch.tensor([[w, h, w, h] for h, w in _sizes(images)], device=device)
        found: list[list[_Found]] = [[] for _ in images]
        for ids, spans in self._chunks:
            prompt = torch.tensor(ids, device=device).expand(len(images), -1)
            outputs = self._loaded.model(
                **inputs,
                input_ids=prompt,
                attention_mask=torch.ones_like(prompt),
                token_type_ids=torch.zeros_like(prompt),
            )
            fits = outputs.logits.float().sigmoid()
            first = next(iter(spans))
            per_phrase = torch.stack([fits[..., a:b].mean(dim=-1) for a, b in spans.values()], dim=-1)
            scores, which = per_phrase.max(dim=-1)
            center, size = outputs.pred_boxes.float().split(2, dim=-1)
            boxes = torch.cat([center - size / 2, center + size / 2], dim=-1) * scale[:, None]
            for image in range(len(images)):
                keep = scores[image] >= min_score
                found[image].append((boxes[image][keep], scores[image][keep], which[image][keep] + first))
        return [_concatenate(parts) for parts in found]

    def _fill(
        self, tokens: Sequence[list[int]], phrases: Sequence[str], room: int
    ) -> Iterator[tuple[list[int], dict[int, tuple[int, int]]]]:
        """Token ids of each prompt, and the token range of each of its phrases by number."""
        ids: list[int] = [self._first]
        spans: dict[int, tuple[int, int]] = {}
        for number, phrase in enumerate(tokens):
            if not phrase or len(phrase) + 3 > room:
                raise InputError(
                    f"{phrases[number]!r} makes {len(phrase)} tokens, this model takes 1 to {room - 3}",
                    source=self._loaded.name,
                    field="vocabulary",
                    fix="shorten it",
                )
            if len(ids) + len(phrase) + 2 > room:
                yield [*ids, self._last], spans
                ids, spans = [self._first], {}
            spans[number] = (len(ids), len(ids) + len(phrase))
            ids += [*phrase, self._stop]
        yield [*ids, self._last], spans


class _Other:
    """The generic path of transformers: text and image together, post-processed by the processor."""

    def __init__(self, loaded: Pretrained, phrases: Sequence[str]) -> None:
        self._loaded, self._phrases = loaded, list(phrases)
        self._post_process = getattr(loaded.processor, "post_process_grounded_object_detection", None)
        if self._post_process is None:
            raise InputError(
                f"its processor {type(loaded.processor).__name__} has no post_process_grounded_object_detection",
                source=loaded.name,
                field="detector",
                fix="use an OWL or Grounding DINO model",
            )

    def predict(self, images: Sequence[NDArray[np.uint8]], min_score: float) -> list[_Found]:
        found: list[list[_Found]] = [[] for _ in images]
        for start in range(0, len(self._phrases), _QUERIES_AT_ONCE):
            words = self._phrases[start : start + _QUERIES_AT_ONCE]
            number = {word: start + k for k, word in enumerate(words)}
            inputs = self._loaded.processor(
                images=list(images), text=[words] * len(images), return_tensors="pt"
            ).to(self._loaded.device)
            outputs = self._loaded.model(**inputs)
            assert self._post_process is not None
            extra = {"input_ids": inputs.get("input_ids"), "text_labels": [words] * len(images)}
            takes = inspect.signature(self._post_process).parameters
            answers = self._post_process(
                outputs=outputs,
                threshold=min_score,
                target_sizes=_sizes(images),
                **{key: value for key, value in extra.items() if key in takes},
            )
            for parts, answer in zip(found, answers, strict=True):
                known = [k for k, word in enumerate(answer["text_labels"]) if word in number]
                labels = torch.tensor([number[answer["text_labels"][k]] for k in known], dtype=torch.int64)
                parts.append((answer["boxes"][known], answer["scores"][known], labels))
        return [_concatenate(parts) for parts in found]


class _Outputs:
    """The fields of a model output that post-processing reads."""

    def __init__(self, logits: torch.Tensor, pred_boxes: torch.Tensor) -> None:
        self.logits, self.pred_boxes = logits, pred_boxes


def _sizes(images: Sequence[NDArray[np.uint8]]) -> list[tuple[int, int]]:
    return [(image.shape[0], image.shape[1]) for image in images]


def _concatenate(parts: Sequence[_Found]) -> _Found:
    boxes, scores, phrases = (
        torch.cat([column.cpu() for column in columns]) for columns in zip(*parts, strict=True)
    )
    return boxes, scores, phrases
