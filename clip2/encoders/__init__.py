"""Networks that turn a point cloud into one vector; `create_encoder` builds them by name."""

from clip2.encoders import patch_transformer, pointmlp, pointnet, pointnet2, pointnext
from clip2.encoders.encoder import PointEncoder
from clip2.encoders.registry import create_encoder, encoder_options, list_encoders, register_encoder
from clip2.encoders.timm_init import weights_follow
from clip2.pretrained.converters import Foreign, convert_checkpoint, fill_encoder
from clip2.pretrained.layouts import FOREIGN_LAYOUTS
from clip2.pretrained.pointnet2 import load_pointnet2_ssg

__all__ = [
    "FOREIGN_LAYOUTS",
    "Foreign",
    "PointEncoder",
    "create_encoder",
    "encoder_options",
    "convert_checkpoint",
    "list_encoders",
    "fill_encoder",
    "load_pointnet2_ssg",
    "patch_transformer",
    "pointmlp",
    "pointnet",
    "pointnet2",
    "pointnext",
    "register_encoder",
    "weights_follow",
]
