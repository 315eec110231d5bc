"""Source tree rules: imports go down only, never in circles; no torch in data_prep; docstrings are noun phrases."""

import ast
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

ROOT = Path(__file__).parents[1]

# Lowest layer first. Rooms of one layer may import each other, in one direction only.
LAYERS = {
    "data_prep": [
        ["errors", "labels", "lazy", "registry", "yaml_text", "native"],
        ["storage"],
        ["config"],
        ["geometry"],
        ["scans"],
        ["detect"],
        ["lift"],
        ["associate"],
        ["triplets", "scale"],
        ["check", "report", "autolabel"],
        ["world"],
        ["__init__"],
    ],
    "clip2": [
        ["labels", "device", "state_dict", "tensor_files", "progress", "version", "point_queries"],
        ["ops"],
        [
            "encoders",
            "preprocessing",
            "size_prior",
            "score_calibration",
            "sampling_order",
            "cuda_graphs",
            "objectives",
            "classification",
        ],
        ["teacher", "ood"],
        ["model", "model_config", "object_model"],
        ["checkpoint"],
        ["hub"],
        ["pretrained"],
        ["recognition"],
        ["mapping"],
        ["evaluation"],
        ["runtime", "ros"],
        ["export"],
        ["server", "search", "viewer"],
        ["training"],
        ["auto"],
        ["__init__"],
        ["world"],
        ["cli"],
        ["__main__"],
    ],
}


def _modules() -> dict[str, ast.Module]:
    paths = [path for package in LAYERS for path in sorted((ROOT / package).rglob("*.py"))]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return {name: ast.parse(path.read_text("utf-8")) for name, path in zip(names, paths, strict=True)}


MODULES = _modules()


def _imported(tree: ast.Module) -> set[str]:
    """Every module that a file imports at any depth, TYPE_CHECKING blocks and functions included."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            inner = {alias.name: f"{node.module}.{alias.name}" for alias in node.names}
            # A package's face counts too where one of its modules is taken through it.
            found |= {str(node.module), *(p for p in inner.values() if {p, f"{p}.__init__"} & set(MODULES))}
    return {f"{name}.__init__" if f"{name}.__init__" in MODULES else name for name in found}


IMPORTS = {name: _imported(tree) for name, tree in MODULES.items()}
ARROWS = [(a, b) for a, imported in IMPORTS.items() for b in imported if b in MODULES and a != b]


def _room(module: str) -> str:
    return ".".join(module.split(".")[:2])


def _circles(arrows: set[tuple[str, str]]) -> list[set[str]]:
    """Groups of names that reach each other along the arrows."""
    names = sorted({name for arrow in arrows for name in arrow})
    rows, columns = (np.array([names.index(arrow[side]) for arrow in arrows]) for side in (0, 1))
    graph = coo_matrix((np.ones(len(arrows)), (rows, columns)), shape=(len(names), len(names)))
    count, group = connected_components(graph, directed=True, connection="strong")
    groups = [{names[i] for i in np.flatnonzero(group == number)} for number in range(count)]
    return [members for members in groups if len(members) > 1]


@pytest.mark.parametrize("package", LAYERS)
def test_every_room_has_a_layer(package):
    rooms = [f"{package}.{room}" for layer in LAYERS[package] for room in layer]
    assert {_room(name) for name in MODULES if name.startswith(package)} <= set(rooms)
    assert len(set(rooms)) == len(rooms)


def test_no_import_goes_up():
    floor = {
        f"{p}.{room}": f for p, layers in LAYERS.items() for f, rooms in enumerate(layers) for room in rooms
    }
    up = {
        (_room(a), _room(b))
        for a, b in ARROWS
        if a.split(".")[0] == b.split(".")[0] and floor[_room(a)] < floor[_room(b)]
    }
    assert up == set()


def test_no_circle_of_files():
    assert _circles(set(ARROWS)) == []


def test_no_circle_of_rooms():
    assert _circles({(_room(a), _room(b)) for a, b in ARROWS if _room(a) != _room(b)}) == []


def test_data_prep_never_imports_clip2():
    assert [(a, b) for a, b in ARROWS if a.startswith("data_prep") and b.startswith("clip2")] == []


def test_only_the_commands_and_the_world_import_the_world():
    importers = {_room(a) for a, b in ARROWS if _room(b) == "clip2.world"}
    assert importers <= {"clip2.cli", "clip2.world"}


def test_torch_is_imported_in_data_prep_only_by_detectors():
    heavy = {"torch", "torchvision", "transformers"}
    importers = {
        _room(name)
        for name, imported in IMPORTS.items()
        if name.startswith("data_prep") and heavy & {each.split(".")[0] for each in imported}
    }
    assert importers <= {"data_prep.detect"}


def test_module_docstrings_are_noun_phrases():
    questions = ("What", "Which", "Where", "How", "Who", "When", "Whether")
    docstrings = {name: ast.get_docstring(tree) or "" for name, tree in MODULES.items()}
    assert [name for name, text in docstrings.items() if text.startswith(questions)] == []
