"""The embedded world: parametric objects, rooms and streets with exact ground truth, an ordinary scan like any other."""

from data_prep.world.assemblies import ASSEMBLY_SIZES, make_assembly
from data_prep.world.crops import ObjectViews, random_directions, render_object
from data_prep.world.objects import ProceduralObject, make_object
from data_prep.world.registry import NAMELESS, Category, category, get_category, list_categories
from data_prep.world.scan import ProceduralScan
from data_prep.world.sensors import DepthNoise, Lidar
from data_prep.world.truth import ProceduralTruth
from data_prep.world.world import PlacedObject

__all__ = [
    "ASSEMBLY_SIZES",
    "NAMELESS",
    "Category",
    "DepthNoise",
    "Lidar",
    "ObjectViews",
    "PlacedObject",
    "ProceduralObject",
    "ProceduralScan",
    "ProceduralTruth",
    "category",
    "get_category",
    "list_categories",
    "make_assembly",
    "make_object",
    "random_directions",
    "render_object",
]
