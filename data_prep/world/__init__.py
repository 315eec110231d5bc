"""Synthetic world: parametric objects, rooms and streets with exact ground truth, readable as a scan."""

from data_prep.world.assemblies import ASSEMBLY_SIZES, make_assembly
from data_prep.world.category import NAMELESS, Category, Setting
from data_prep.world.objects import (
    ObjectViews,
    ProceduralObject,
    get_category,
    list_categories,
    make_object,
    random_directions,
    render_object,
)
from data_prep.world.scan import ProceduralScan
from data_prep.world.sensors import LIDARS, DepthNoise, Lidar, ProceduralTruth
from data_prep.world.world import PlacedObject

__all__ = [
    "ASSEMBLY_SIZES",
    "LIDARS",
    "NAMELESS",
    "Category",
    "DepthNoise",
    "Lidar",
    "ObjectViews",
    "PlacedObject",
    "ProceduralObject",
    "ProceduralScan",
    "ProceduralTruth",
    "Setting",
    "get_category",
    "list_categories",
    "make_assembly",
    "make_object",
    "random_directions",
    "render_object",
]
