"""Registry of object sets: opening the test or training objects of a benchmark by its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from clip2.evaluation.class_lists import class_list
from clip2.evaluation.objects import ObjectSet
from clip2.evaluation.protocol import Settings
from clip2.evaluation.sets import arrays, clouds, cuts, modelnet, named, triplets
from data_prep.errors import BadDatasetError, InputError

Open = Callable[[Path, Settings, str], ObjectSet]
# OpenShape's src/configs/train.yaml has y_up: True for its sets: its loader swaps y and z, then turns about z. The files
# themselves were not at hand; --axes z-up reads them as z-up.
OPENSHAPE_Y_UP = True


@dataclass(frozen=True)
class SetEntry:
    """A set of labeled objects.

    Attributes:
        summary: one line.
        expected: the files that ROOT should hold, in words.
        finds: whether ROOT holds them, judged by file names alone.
        read: root that holds them, settings, split (``test`` or ``train``) → the objects.
        trains: whether it has a ``train`` split.
        options: entries of ``Settings.options`` that it reads, each with its meaning.
        in_all: whether ``all`` includes it beside others: folders of clouds are part of many layouts.
    """

    summary: str
    expected: str
    finds: Callable[[Path], bool]
    read: Open
    trains: bool = True
    in_all: bool = True
    options: Mapping[str, str] = field(default_factory=dict)

    def open(self, root: Path, settings: Settings, split: str) -> ObjectSet:
        """The objects of a split.

        Raises:
            BadDatasetError: ROOT does not hold them.
        """
        if not self.finds(root):
            raise BadDatasetError(
                "does not hold this set", source=root, fix=f"give a folder with {self.expected}"
            )
        return self.read(root, settings, split)


def _modelnet10(root: Path, settings: Settings, split: str) -> ObjectSet:
    classes = class_list("modelnet10")
    folder, grids = modelnet.off_folder(root, "ModelNet10"), modelnet.grids_file(root)
    if folder is not None:
        return modelnet.read_off_tree(folder, split, "modelnet10", classes, settings.seed)
    assert grids is not None
    return modelnet.read_grids(grids, split, "modelnet10", classes)


def _h5_files(root: Path, split: str) -> list[Path]:
    """``modelnet40_ply_hdf5_2048``: ``ply_data_SPLIT*.h5``."""
    places = (root, root / "modelnet40_ply_hdf5_2048")
    return next((found for place in places if (found := sorted(place.glob(f"ply_data_{split}*.h5")))), [])


def _test_pc(root: Path) -> Path | None:
    places = (root, root / "modelnet40", root / "meta_data" / "modelnet40")
    return next((place for place in places if (place / "test_pc.npy").is_file()), None)


def _modelnet40(root: Path, settings: Settings, split: str) -> ObjectSet:
    classes = class_list("modelnet40")
    if folder := modelnet.off_folder(root, "ModelNet40"):
        return modelnet.read_off_tree(folder, split, "modelnet40", classes, settings.seed)
    if files := _h5_files(root, split):
        return arrays.read_h5(files, "modelnet40", classes, _y_up(settings, True), 1024)
    folder = _test_pc(root)
    if folder is None or split != "test":
        raise BadDatasetError(
            f"holds no {split} split", source=root, fix="give the OFF tree or the HDF5 files"
        )
    return arrays.read_openshape_modelnet(folder, classes, _y_up(settings, OPENSHAPE_Y_UP))


_SCANOBJECTNN = {
    "scanobjectnn-obj-only": ("main_split_nobg", "objectdataset", "objects alone"),
    "scanobjectnn-obj-bg": ("main_split", "objectdataset", "objects with background"),
    "scanobjectnn-pb-t50-rs": (
        "main_split",
        "objectdataset_augmentedrot_scale75",
        "moved, turned and scaled boxes",
    ),
}


def _scanobjectnn(name: str) -> SetEntry:
    folder, stem, what = _SCANOBJECTNN[name]

    def file(root: Path, split: str) -> Path | None:
        word = "training" if split == "train" else "test"
        places = [root / part / folder / f"{word}_{stem}.h5" for part in ("", "h5_files", "ScanObjectNN")]
        return next((place for place in places if place.is_file()), None)

    def read(root: Path, settings: Settings, split: str) -> ObjectSet:
        path = file(root, split)
        if path is None:
            raise BadDatasetError(
                f"holds no {split} split", source=root, fix=f"expected {folder}/*_{stem}.h5"
            )
        return arrays.read_h5([path], name, class_list("scanobjectnn"), _y_up(settings, True))

    expected = f"{folder}/test_{stem}.h5"
    return SetEntry(f"ScanObjectNN, {what}", expected, lambda root: file(root, "test") is not None, read)


def _xyz_label(root: Path) -> Path | None:
    places = (root, root / "scanobjectnn", root / "meta_data" / "scanobjectnn")
    return next((place / "xyz_label.npy" for place in places if (place / "xyz_label.npy").is_file()), None)


def _scanobjectnn_openshape(root: Path, settings: Settings, split: str) -> ObjectSet:
    path = _xyz_label(root)
    assert path is not None
    return arrays.read_openshape_scanobjectnn(
        path, class_list("scanobjectnn"), _y_up(settings, OPENSHAPE_Y_UP)
    )


def _named(root: Path, settings: Settings, split: str) -> ObjectSet:
    file = named.named_file(root)
    assert file is not None
    if settings.axes != "auto":
        raise InputError("is given by up_axis in the file", field="--axes", fix="leave it out")
    return named.read_named(file)


def _cut(name: str, source: str, classes: str, visibility: int = 0, **options: object) -> Open:
    def read(root: Path, settings: Settings, split: str) -> ObjectSet:
        if settings.axes != "auto":
            raise InputError("is known for a scan", field="--axes", fix="leave it out")
        place = root / "scans" if source == "scannet" and (root / "scans").is_dir() else root
        known, renamed = class_list(classes), None
        if classes in ("scannet17", "scannet18", "scannet20"):
            renamed, known = cuts.scannet_names(place, known)
        return cuts.cut_objects(source, place, known, name, visibility, renamed, **options)

    return read


def _y_up(settings: Settings, default: bool) -> bool:
    return default if settings.axes == "auto" else settings.axes == "y-up"


def _any(*patterns: str) -> Callable[[Path], bool]:
    return lambda root: any(next(root.glob(pattern), None) is not None for pattern in patterns)


_SCANNET = "*/*.aggregation.json", "scans/*/*.aggregation.json", "*.aggregation.json"
_SUNRGBD = "sunrgbd_trainval/label", "label/*.txt"
OBJECT_SETS: dict[str, SetEntry] = {
    "modelnet10": SetEntry(
        "ModelNet10, ten kinds of furniture",
        "CLASS/test/*.off, or modelnet10.npz with 0/1 grids X_test and classes y_test",
        lambda root: bool(modelnet.off_folder(root, "ModelNet10") or modelnet.grids_file(root)),
        _modelnet10,
    ),
    "modelnet40": SetEntry(
        "ModelNet40, 2,468 test shapes",
        "ModelNet40/CLASS/test/*.off, ply_data_test*.h5, or OpenShape's test_pc.npy with test_split.json",
        lambda root: bool(
            (root / "ModelNet40").is_dir()
            or (modelnet.off_folder(root, "ModelNet40") and (root / "airplane").is_dir())
            or _h5_files(root, "test")
            or _test_pc(root)
        ),
        _modelnet40,
    ),
    **{name: _scanobjectnn(name) for name in _SCANOBJECTNN},
    "scanobjectnn-openshape": SetEntry(
        "ScanObjectNN, OpenShape's file of 2,890 shapes, which seems to be training and test together",
        "xyz_label.npy",
        lambda root: _xyz_label(root) is not None,
        _scanobjectnn_openshape,
        trains=False,
    ),
    "objaverse-lvis": SetEntry(
        "Objaverse-LVIS in OpenShape's layout",
        "split/lvis.json and the npy files it names",
        lambda root: arrays.lvis_file(root) is not None,
        lambda root, settings, split: arrays.read_lvis(root, _y_up(settings, OPENSHAPE_Y_UP)),
        trains=False,
    ),
    "named-objects": SetEntry(
        "named clouds of your own",
        "named_objects.npz with points (M, n, 3 or 6) and name (M,)",
        lambda root: named.named_file(root) is not None,
        _named,
        trains=False,
    ),
    "clouds": SetEntry(
        "a folder of clouds of your own",
        "LABEL/*.ply, .npy, .xyz, .pcd or another cloud format",
        lambda root: bool(clouds.cloud_files(root)),
        lambda root, settings, split: clouds.read_clouds(
            root, settings.axes, settings.options.get("units") == "m"
        ),
        trains=False,
        in_all=False,
        options={
            "units": "m: the files are in meters; without, the largest side of each cloud is set to 1 m"
        },
    ),
    "triplets": SetEntry(
        "mined triplets, each with its first label",
        "a folder that clip2 prep wrote",
        _any("*manifest.json"),
        lambda root, settings, split: triplets.read_triplets(root),
        trains=False,
    ),
    "shapenetpart": SetEntry(
        "ShapeNetPart, 16 categories",
        "SYNSET/*.txt and train_test_split/shuffled_test_file_list.json",
        lambda root: (root / "train_test_split" / "shuffled_test_file_list.json").is_file(),
        lambda root, settings, split: arrays.read_shapenetpart(root, split, class_list("shapenetpart")),
    ),
    **{
        f"scannet{count}": SetEntry(
            f"objects of ScanNet scenes cut by labels, {count} classes",
            "SCENE/*_vh_clean_2.ply, *.aggregation.json and *.segs.json",
            _any(*_SCANNET),
            _cut(f"scannet{count}", "scannet", f"scannet{count}", part="mesh"),
            trains=False,
        )
        for count in (17, 18, 20, 200)
    },
    **{
        f"sunrgbd{count}": SetEntry(
            f"objects of SUN RGB-D frames cut by labeled boxes, {count} classes",
            "sunrgbd_trainval/{image,calib,depth,label}",
            _any(*_SUNRGBD),
            _cut(f"sunrgbd{count}", "sunrgbd", f"sunrgbd{count}"),
            trains=False,
        )
        for count in (10, 37)
    },
    "nuscenes10": SetEntry(
        "objects of nuScenes sweeps cut by labeled boxes, visibility level 2 and above",
        "v1.0-*/sample_annotation.json and samples/",
        _any("v1.0-*/sample_annotation.json"),
        _cut("nuscenes10", "nuscenes", "nuscenes10", 2),
        trains=False,
    ),
    "once5": SetEntry(
        "objects of ONCE sweeps cut by labeled boxes",
        "data/SEQUENCE/SEQUENCE.json",
        _any("data/*/*.json"),
        _cut("once5", "once", "once5"),
        trains=False,
    ),
    "kitti": SetEntry(
        "objects of KITTI sweeps cut by labeled boxes",
        "training/velodyne and training/label_2",
        _any("training/label_2/*.txt"),
        _cut("kitti", "kitti", "kitti"),
        trains=False,
    ),
}
