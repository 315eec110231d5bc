"""Detectors and segmenters small enough for tests: real classes of transformers, real loading path, random weights."""

from __future__ import annotations

import json
import string
from pathlib import Path
from typing import Any

import torch

IMAGE_SIZE = 64


def make_tiny_owl(folder: Path, seed: int = 0, kind: str = "owlv2") -> Path:
    """Write an OWLv2 or OWL-ViT: 64 pixels in patches of 16, words spelt by letters."""
    import transformers as hf

    text = {
        "vocab_size": 514, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 16, "bos_token_id": 512, "eos_token_id": 513,
    }  # fmt: skip
    vision = {
        "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": IMAGE_SIZE, "patch_size": 16,
    }  # fmt: skip
    v2 = kind == "owlv2"
    config_class, model_class = (
        (hf.Owlv2Config, hf.Owlv2ForObjectDetection) if v2 else (hf.OwlViTConfig, hf.OwlViTForObjectDetection)
    )
    config = config_class(text_config=text, vision_config=vision, projection_dim=16)
    _save(model_class, config, folder, seed)
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = (
        hf.Owlv2ImageProcessor(size=size) if v2 else hf.OwlViTImageProcessor(size=size, do_center_crop=False)
    )
    processor = hf.Owlv2Processor if v2 else hf.OwlViTProcessor
    processor(images, _letters_for_clip(folder)).save_pretrained(folder)
    return folder


def make_tiny_grounding_dino(folder: Path, seed: int = 0, room: int = 48) -> Path:
    """Write a Grounding DINO whose prompts hold ``room`` tokens, a letter each."""
    import transformers as hf

    backbone = hf.SwinConfig(
        image_size=IMAGE_SIZE, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    text = hf.BertConfig(
        vocab_size=1200, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32
    )
    config = hf.GroundingDinoConfig(
        backbone_config=backbone, text_config=text, d_model=32, num_queries=12, encoder_layers=1, decoder_layers=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, encoder_attention_heads=2, decoder_attention_heads=2,
        max_text_len=room,
    )  # fmt: skip
    _save(hf.GroundingDinoForObjectDetection, config, folder, seed)
    images = hf.GroundingDinoImageProcessor(
        size={"shortest_edge": IMAGE_SIZE, "longest_edge": 2 * IMAGE_SIZE}
    )
    hf.GroundingDinoProcessor(images, _letters_for_bert(folder)).save_pretrained(folder)
    return folder


def make_tiny_omdet(folder: Path, seed: int = 0) -> Path:
    """Write an OmDet-Turbo of 64 pixels, words spelt by letters."""
    import transformers as hf

    backbone = hf.SwinConfig(
        image_size=IMAGE_SIZE, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=4,
        out_features=["stage2", "stage3", "stage4"],
    )  # fmt: skip
    text = hf.CLIPTextConfig(
        vocab_size=514, hidden_size=24, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        bos_token_id=512, eos_token_id=513, projection_dim=24,
    )  # fmt: skip
    config = hf.OmDetTurboConfig(
        text_config=text, backbone_config=backbone, apply_layernorm_after_vision_backbone=False, image_size=IMAGE_SIZE,
        text_projection_in_dim=24, text_projection_out_dim=24, class_embed_dim=24, class_distance_type="cosine",
        task_encoder_hidden_dim=16, encoder_hidden_dim=16, encoder_in_channels=[16, 32, 64], encoder_dim_feedforward=32,
        decoder_hidden_dim=16, decoder_num_heads=2, decoder_num_layers=1, decoder_dim_feedforward=32, num_queries=10,
        num_projection_layers=1, decoder_num_points=2, conv_norm_eps=1e-5, vision_features_channels=[16, 16, 16],
    )  # fmt: skip
    _save(hf.OmDetTurboForObjectDetection, config, folder, seed)
    images = hf.DetrImageProcessor(size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}, do_pad=False)
    letters = _letters_for_clip(folder)
    letters.model_max_length = 77
    hf.OmDetTurboProcessor(images, letters).save_pretrained(folder)
    return folder


def make_tiny_sam(folder: Path, seed: int = 0) -> Path:
    """Write a SAM of 64 pixels."""
    import transformers as hf

    config = hf.SamConfig(
        vision_config={
            "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
            "image_size": IMAGE_SIZE, "patch_size": 16, "window_size": 2, "global_attn_indexes": [0],
            "num_pos_feats": 8, "mlp_dim": 32,
        },
        prompt_encoder_config={"hidden_size": 16, "image_size": IMAGE_SIZE, "patch_size": 16},
        mask_decoder_config={
            "hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    )  # fmt: skip
    _save(hf.SamModel, config, folder, seed)
    images = hf.SamImageProcessor(
        size={"longest_edge": IMAGE_SIZE}, pad_size={"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    )
    hf.SamProcessor(images).save_pretrained(folder)
    return folder


def make_tiny_sam2(folder: Path, seed: int = 0) -> Path:
    """Write a SAM 2 of 128 pixels."""
    import transformers as hf

    side = 128
    backbone = hf.Sam2HieraDetConfig(
        hidden_size=8, num_attention_heads=1, image_size=[side, side], blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 24, 32], num_attention_heads_per_stage=[1, 1, 1, 1],
        window_size_per_stage=[4, 4, 4, 4], global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
    )  # fmt: skip
    vision = hf.Sam2VisionConfig(
        backbone_config=backbone, backbone_channel_list=[32, 24, 16, 8], fpn_hidden_size=16,
        backbone_feature_sizes=[[side // 4] * 2, [side // 8] * 2, [side // 16] * 2],
    )  # fmt: skip
    config = hf.Sam2Config(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 16, "image_size": side, "patch_size": 16},
        mask_decoder_config={
            "hidden_size": 16, "mlp_dim": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
            "iou_head_hidden_dim": 16,
        },
    )  # fmt: skip
    _save(hf.Sam2Model, config, folder, seed)
    images = hf.Sam2ImageProcessor(
        size={"height": side, "width": side}, mask_size={"height": side // 4, "width": side // 4}
    )
    hf.Sam2Processor(images).save_pretrained(folder)
    return folder


def _save(model_class: type, config: object, folder: Path, seed: int) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = model_class(config)
        for parameter in model.parameters():  # freshly made ones are so small that everything scores alike
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(folder)


def _letters_for_clip(folder: Path) -> Any:
    """CLIP's tokenizer without merges: one token per letter."""
    import transformers as hf

    letters = [chr(c) for c in range(33, 127)]
    words = letters + [f"{letter}</w>" for letter in letters]
    vocabulary = {word: number for number, word in enumerate(words)}
    vocabulary |= {"<|startoftext|>": 512, "<|endoftext|>": 513}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return hf.CLIPTokenizer.from_pretrained(folder, model_max_length=16)


def _letters_for_bert(folder: Path) -> object:
    """BERT's tokenizer with its own numbers for [CLS], [SEP], full stop and question mark."""
    import transformers as hf

    words = [f"[unused{number}]" for number in range(1100)]
    words[0], words[100], words[101], words[102], words[103] = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
    words[1012], words[1029] = ".", "?"
    for number, letter in enumerate(string.ascii_lowercase):
        words[200 + number], words[300 + number] = letter, f"##{letter}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return hf.BertTokenizer.from_pretrained(folder)
