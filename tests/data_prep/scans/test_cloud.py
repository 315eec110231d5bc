"""One cloud, many formats: the same points come out of each, and a lying header is refused."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import open3d as o3d
import pytest
import trimesh

from data_prep import BadDatasetError, BadFrameError, Frame, InputError, open_scan

RNG = np.random.default_rng(0)
POINTS = RNG.uniform(-3, 3, (40, 3)).astype(np.float32)
COLORS = RNG.integers(0, 256, (40, 3), dtype=np.uint8)


def read(path: Path, **options: object) -> Frame:
    return open_scan("cloud", path, **options)[0]


def ply(
    count: int,
    rows: bytes,
    form: str = "binary_little_endian",
    kind: str = "float",
    color: str = "",
    tail: str = "",
) -> bytes:
    names = "".join(f"property {kind} {axis}\n" for axis in "xyz")
    colors = "".join(f"property {color} {name}\n" for name in ("red", "green", "blue")) if color else ""
    header = f"ply\nformat {form} 1.0\ncomment made by a test\nelement vertex {count}\n{names}{colors}{tail}end_header\n"
    return header.encode() + rows


def colored_rows(order: str) -> bytes:
    table = np.zeros(40, [("p", f"{order}f4", 3), ("c", "u1", 3)])
    table["p"], table["c"] = POINTS, COLORS
    return table.tobytes()


def ascii_rows() -> bytes:
    return "".join(
        f"{' '.join(map(repr, map(float, p)))} {' '.join(map(str, c))}\n"
        for p, c in zip(POINTS, COLORS, strict=True)
    ).encode()


def open3d_cloud() -> o3d.geometry.PointCloud:
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(POINTS))
    cloud.colors = o3d.utility.Vector3dVector(COLORS / 255)
    return cloud


def write_open3d(path: Path, **options: bool) -> None:
    assert o3d.io.write_point_cloud(str(path), open3d_cloud(), **options)


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "ply little endian": ("a.ply", lambda p: p.write_bytes(ply(40, colored_rows("<"), color="uchar"))),
    "ply big endian": (
        "a.ply",
        lambda p: p.write_bytes(ply(40, colored_rows(">"), form="binary_big_endian", color="uchar")),
    ),
    "ply text": ("a.ply", lambda p: p.write_bytes(ply(40, ascii_rows(), form="ascii", color="uchar"))),
    "ply by open3d": ("a.ply", write_open3d),
    "ply text by open3d": ("a.ply", lambda p: write_open3d(p, write_ascii=True)),
    "pcd by open3d": ("a.pcd", write_open3d),
    "pcd text by open3d": ("a.pcd", lambda p: write_open3d(p, write_ascii=True)),
    "pcd compressed by open3d": ("a.pcd", lambda p: write_open3d(p, compressed=True)),
    "npy, colors 0..1": ("a.npy", lambda p: np.save(p, np.c_[POINTS, COLORS / np.float32(255)])),
    "npy, colors 0..255": ("a.npy", lambda p: np.save(p, np.c_[POINTS, COLORS])),
    "xyz": ("a.xyz", lambda p: np.savetxt(p, np.c_[POINTS, COLORS])),
    "xyz with commas": (
        "a.xyz",
        lambda p: np.savetxt(p, np.c_[POINTS, COLORS], delimiter=",", header="x y z r g b"),
    ),
    "upper case": ("A.PLY", lambda p: p.write_bytes(ply(40, colored_rows("<"), color="uchar"))),
}


@pytest.mark.parametrize("name, write", WRITERS.values(), ids=WRITERS)
def test_every_format_gives_the_same_colored_points(tmp_path: Path, name: str, write: Callable) -> None:
    write(tmp_path / name)
    frame = read(tmp_path / name)
    np.testing.assert_allclose(frame.points, POINTS, atol=1e-5)  # Open3D writes six digits as text
    np.testing.assert_array_equal(frame.colors, COLORS)
    assert frame.id == Path(name).stem
    assert frame.views == ()


@pytest.mark.parametrize("name, write", WRITERS.values(), ids=WRITERS)
def test_some_points_of_every_format_keep_their_colors(tmp_path: Path, name: str, write: Callable) -> None:
    write(tmp_path / name)
    frame = read(tmp_path / name, most=10)
    assert len(frame.points) == 10
    assert frame.notes == ("10 of 40 points are used",)
    apart = np.linalg.norm(frame.points[:, None] - POINTS, axis=2)
    rows = apart.argmin(axis=1)
    assert apart.min(axis=1).max() < 1e-4
    assert (np.diff(rows) > 0).all()
    assert (rows // 4 == np.arange(10)).all(), "one of each tenth of the file"
    np.testing.assert_array_equal(frame.colors, COLORS[rows])
    assert read(tmp_path / name, most=40).notes == ()
    with pytest.raises(InputError, match="at least one"):
        read(tmp_path / name, most=0)


def test_compressed_pcd_with_repetition(tmp_path: Path) -> None:
    # Repeating points make the compressor copy, also from bytes it has just written.
    cloud = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(np.tile(POINTS[:3], (500, 1))))
    o3d.io.write_point_cloud(str(tmp_path / "a.pcd"), cloud, compressed=True)
    assert (tmp_path / "a.pcd").stat().st_size < 1500 * 12 / 2
    np.testing.assert_allclose(read(tmp_path / "a.pcd").points, np.tile(POINTS[:3], (500, 1)), atol=1e-6)


def test_absent_color_is_none(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(ply(40, POINTS.tobytes()))
    np.save(tmp_path / "b.npy", POINTS)
    np.save(tmp_path / "normals.npy", np.c_[POINTS, POINTS / 3])  # negative: cannot be colors
    assert [frame.colors for frame in open_scan("cloud", tmp_path)] == [None, None, None]


@pytest.mark.parametrize(
    "columns, name, scale",
    [
        (4, "velodyne/000007.bin", 1.0),
        (4, "velodyne/0001/000007.bin", 1.0),
        (4, "velodyne_points/data/0000000007.bin", 1.0),
        (5, "a.pcd.bin", 255.0),
    ],
)
def test_raw_sweeps_whose_names_fix_their_columns(
    tmp_path: Path, columns: int, name: str, scale: float
) -> None:
    intensity = np.linspace(0, scale, 40, dtype=np.float32)
    rows = np.c_[POINTS, intensity, np.arange(40, dtype=np.float32)][:, :columns]
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    rows.astype("<f4").tofile(tmp_path / name)
    frame = read(tmp_path / name)
    np.testing.assert_array_equal(frame.points, POINTS)
    np.testing.assert_allclose(frame.intensity, intensity / scale, atol=1e-6)


@pytest.mark.parametrize("name", ["a.bin", "velodyne/0000007.bin", "points/scene0000_00.bin"])
def test_other_raw_files_ask_for_their_columns(tmp_path: Path, name: str) -> None:
    """Waymo's exports have velodyne folders too, with seven digits and six values."""
    colors = np.random.default_rng(0).integers(0, 256, (40, 3))
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    np.c_[POINTS, colors].astype("<f4").tofile(tmp_path / name)
    with pytest.raises(BadFrameError, match=r"columns: does not say .* Fix: state .*--option columns=4"):
        read(tmp_path / name)
    frame = read(tmp_path / name, columns=6)
    np.testing.assert_array_equal(frame.points, POINTS)
    np.testing.assert_array_equal(frame.colors, colors)


def test_a_sweep_read_with_the_wrong_number_of_columns_is_noticed(tmp_path: Path) -> None:
    np.c_[POINTS, np.full(40, 200.0), np.arange(40)].astype("<f4").tofile(tmp_path / "a.bin")
    with pytest.raises(
        BadFrameError, match=r"a\.bin: column 4: runs from .* Fix: state the number of columns"
    ):
        read(tmp_path / "a.bin", columns=4)


def test_map_coordinates_keep_their_millimeters(tmp_path: Path) -> None:
    utm = np.float64([451_234.0, 5_412_345.0, 312.0])
    exact = utm + RNG.uniform(-50, 50, (30, 3))
    np.save(tmp_path / "a.npy", exact)
    (tmp_path / "b.ply").write_bytes(ply(30, exact.astype("<f8").tobytes(), kind="double"))
    np.savetxt(tmp_path / "c.xyz", exact, fmt="%.6f")
    for frame in open_scan("cloud", tmp_path):
        assert np.abs(frame.points).max() < 150
        np.testing.assert_allclose(frame.world_points(), exact, atol=1e-5)


@pytest.mark.parametrize(
    "up, above", [("z", [0, 0, 1]), ("y", [0, 1, 0]), ("-y", [0, -1, 0]), ("x", [1, 0, 0])]
)
def test_up_turns_to_z(tmp_path: Path, up: str, above: list[float]) -> None:
    np.save(tmp_path / "a.npy", np.float32([[0, 0, 0], above]))
    frame = read(tmp_path / "a.npy", up=up)
    np.testing.assert_array_equal(frame.points[1], above)
    np.testing.assert_allclose(frame.world_points(), [[0, 0, 0], [0, 0, 1]], atol=1e-12)
    assert np.linalg.det(frame.T_world_points) == pytest.approx(1)


def test_points_that_are_not_finite_are_dropped_with_their_colors(tmp_path: Path) -> None:
    points = POINTS.copy()
    points[3, 1], points[9, 0] = np.nan, -np.inf
    np.save(tmp_path / "a.npy", np.c_[points, COLORS])
    frame = read(tmp_path / "a.npy")
    keep = np.delete(np.arange(40), [3, 9])
    np.testing.assert_array_equal(frame.points, POINTS[keep])
    np.testing.assert_array_equal(frame.colors, COLORS[keep])


def test_a_folder_is_one_frame_per_file(tmp_path: Path) -> None:
    np.save(tmp_path / "b.npy", POINTS)
    np.save(tmp_path / "a.npy", POINTS)
    np.savetxt(tmp_path / "b.xyz", POINTS)
    (tmp_path / "notes.txt").write_text("not a cloud")
    scan = open_scan("cloud", tmp_path)
    assert scan.frame_ids() == ["a", "b_npy", "b_xyz"]
    assert [len(frame.points) for frame in scan] == [40, 40, 40]
    assert scan.image_names() == []


def box_mesh(color: list[int] | None = None) -> trimesh.Trimesh:
    """A closed box 4 x 2 x 1, its faces 8, 4 and 2 square meters."""
    return trimesh.creation.box([4, 2, 1], face_colors=color)


def save_box(path: Path) -> Path:
    """A file of the box; a .gltf keeps its numbers in a file beside it."""
    if path.suffix == ".gltf":
        files = trimesh.exchange.gltf.export_gltf(trimesh.Scene(box_mesh()))
        for name, content in files.items():
            path.with_name(path.name if name.endswith(".gltf") else name).write_bytes(content)
    else:
        box_mesh().export(path)
    return path


@pytest.mark.parametrize("suffix", [".off", ".obj", ".glb", ".ply", ".stl", ".gltf"])
def test_meshes_are_sampled_by_area(tmp_path: Path, suffix: str) -> None:
    path = save_box(tmp_path / f"box{suffix}")
    frame = read(path, points=20_000, up="z", **({"sample": True} if suffix == ".ply" else {}))
    assert frame.points.shape == (20_000, 3)
    on_face = np.isclose(np.abs(frame.points), [2, 1, 0.5], atol=1e-5)
    assert on_face.any(axis=1).all()
    np.testing.assert_allclose(on_face.mean(axis=0), np.array([2, 4, 8]) / 14, atol=0.015)


def test_the_seed_decides_the_samples(tmp_path: Path) -> None:
    box_mesh().export(tmp_path / "box.off")
    first, again, other = (read(tmp_path / "box.off", points=100, seed=seed).points for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_ply_vertices_are_taken_unless_sampling_is_asked_for(tmp_path: Path) -> None:
    box_mesh().export(tmp_path / "box.ply")
    assert read(tmp_path / "box.ply").points.shape == (8, 3)


def test_gltf_is_y_up_by_its_specification(tmp_path: Path) -> None:
    box_mesh().export(tmp_path / "box.glb")
    heights = read(tmp_path / "box.glb").world_points()[:, 2]
    np.testing.assert_allclose([heights.min(), heights.max()], [-1, 1], atol=1e-6)


COLLADA = """<?xml version="1.0"?>
<COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1">
<asset><created/><modified/><unit name="centimeter" meter="0.01"/>{up}</asset>
<library_geometries><geometry id="g"><mesh>
<source id="p"><float_array id="a" count="9">0 0 0 100 0 0 0 300 0</float_array><technique_common>
<accessor source="#a" count="3" stride="3"><param name="X" type="float"/><param name="Y" type="float"/>
<param name="Z" type="float"/></accessor></technique_common></source>
<vertices id="v"><input semantic="POSITION" source="#p"/></vertices>
<triangles count="1"><input semantic="VERTEX" source="#v" offset="0"/><p>0 1 2</p></triangles>
</mesh></geometry></library_geometries>
<library_visual_scenes><visual_scene id="s"><node><instance_geometry url="#g"/></node></visual_scene>
</library_visual_scenes><scene><instance_visual_scene url="#s"/></scene></COLLADA>"""


@pytest.mark.parametrize(("up", "axis"), [("", 2), ("<up_axis>Z_UP</up_axis>", 1)])
def test_collada_states_its_unit_and_its_axes(tmp_path: Path, up: str, axis: int) -> None:
    pytest.importorskip("collada")
    path = tmp_path / "triangle.dae"
    path.write_text(COLLADA.format(up=up))
    world = read(path).world_points()
    assert np.ptp(world, axis=0)[axis] == pytest.approx(3, rel=0.05)  # meters, up unless z is


def test_3mf_is_in_millimeters_unless_it_says_otherwise(tmp_path: Path) -> None:
    pytest.importorskip("lxml")
    box_mesh().export(tmp_path / "box.3mf")
    np.testing.assert_allclose(np.ptp(read(tmp_path / "box.3mf").points, axis=0), [0.004, 0.002, 0.001])


@pytest.mark.parametrize(("suffix", "library"), [(".dae", "collada"), (".3mf", "lxml")])
def test_a_missing_library_is_one_line(
    tmp_path: Path, suffix: str, library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"")
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    with pytest.raises(
        InputError, match=r"which is not installed. Fix: pip install 'clip2\[mesh\]'"
    ) as found:
        read(path)
    assert str(path) in str(found.value)
    assert f"needs {library}" in str(found.value)


def test_face_colors_of_a_mesh(tmp_path: Path) -> None:
    box_mesh([10, 200, 30, 255]).export(tmp_path / "box.ply")
    frame = read(tmp_path / "box.ply", sample=True, points=50)
    np.testing.assert_array_equal(frame.colors, np.tile([10, 200, 30], (50, 1)))


OBJ = "mtllib box.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl red\nf 1/1 2/2 3/3\n"


def test_obj_color_comes_from_its_material_file_or_is_absent(tmp_path: Path) -> None:
    (tmp_path / "box.obj").write_text(OBJ)
    assert read(tmp_path / "box.obj", points=10).colors is None
    (tmp_path / "box.mtl").write_text("newmtl red\nKd 1.0 0.0 0.0\n")
    np.testing.assert_array_equal(read(tmp_path / "box.obj", points=10).colors, np.tile([255, 0, 0], (10, 1)))


def lzf(packed: bytes, size: int, promised: int | None = None) -> bytes:
    header = "VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 1\nHEIGHT 1\nPOINTS 1\n"
    sizes = struct.pack("<II", len(packed) if promised is None else promised, size)
    return f"{header}DATA binary_compressed\n".encode() + sizes + packed


def pcd(
    count: int, rows: bytes, data: str = "binary", width: int | None = None, fields: str = "x y z"
) -> bytes:
    return (
        f"VERSION .7\nFIELDS {fields}\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH {width or count}\nHEIGHT 1\n"
        f"VIEWPOINT 0 0 0 1 0 0 0\nPOINTS {count}\nDATA {data}\n"
    ).encode() + rows


ROWS = POINTS.tobytes()
LIES: dict[str, tuple[str, bytes, str]] = {
    "ply promises more": ("a.ply", ply(1000, ROWS), "promises 1000 points of 12 bytes, the file holds 40"),
    "ply promises less": ("a.ply", ply(7, ROWS), "promises 7 points of 12 bytes, the file holds 40"),
    "ply promises the moon": ("a.ply", ply(10**15, ROWS), "promises 1000000000000000 points"),
    "ply promises a negative": ("a.ply", ply(-5, ROWS), "element vertex -5"),
    "ply promises nothing": ("a.ply", ply(0, b""), "points: holds no points"),
    "ply text promises more": ("a.ply", ply(40, b"1 2 3\n4 5 6\n", form="ascii"), "promises 40 points, the file holds 2"),
    "ply text promises columns": ("a.ply", ply(1, b"1 2\n", form="ascii"), "promises 3 values per point, rows have 2"),
    "ply text of words": ("a.ply", ply(1, b"1 two 3\n", form="ascii"), "holds a row that is not numbers"),
    "ply says text, is binary": ("a.ply", ply(40, ROWS, form="ascii"), "a.ply: "),
    "ply promises faces": (
        "a.ply", ply(40, ROWS, tail="element face 900\nproperty list uchar int vertex_indices\n"), "element face"
    ),
    "ply of another type": ("a.ply", ply(40, ROWS, kind="quad"), "property quad x"),
    "ply without z": ("a.ply", ply(40, ROWS).replace(b" z\n", b" w\n"), "property z: is missing"),
    "ply without end": ("a.ply", ply(40, ROWS).replace(b"end_header", b"and_header"), "is not a PLY header"),
    "ply is empty": ("a.ply", b"", "is not a PLY header"),
    "ply is a page": ("a.ply", b"<html></html>", "is not a PLY header"),
    "pcd promises more": ("a.pcd", pcd(1000, ROWS), "promises 1000 points of 12 bytes, the file holds 40"),
    "pcd promises the moon": ("a.pcd", pcd(10**12, ROWS), "promises 1000000000000 points"),
    "pcd contradicts itself": ("a.pcd", pcd(40, ROWS, width=80), "POINTS: is 40, WIDTH x HEIGHT 80"),
    "pcd text promises more": ("a.pcd", pcd(5, b"1 2 3\n", "ascii"), "promises 5 points, the file holds 1"),
    "pcd without z": ("a.pcd", pcd(40, ROWS, fields="x y w"), "property z: is missing"),
    "pcd of fewer types": ("a.pcd", pcd(40, ROWS, fields="x y z w"), "differ in length"),
    "pcd is empty": ("a.pcd", b"", "DATA: is missing"),
    "pcd of another kind": ("a.pcd", pcd(40, ROWS, "zipped"), "DATA: is 'zipped'"),
    "pcd compressed, cut short": ("a.pcd", lzf(b"\x0babc", 12, 500), "promises 500 compressed bytes, the file holds 4"),
    "pcd compressed, too little": ("a.pcd", lzf(b"\x02abc", 12), "decompresses to 3 bytes instead of 12"),
    "pcd compressed, from nowhere": ("a.pcd", lzf(b"\x20\xff", 12), "cannot be decompressed"),
    "npy is a pickle": ("a.npy", b"\x80\x04N.", "a.npy: points: cannot be read"),
    "npy is cut short": ("a.npy", b"\x93NUMPY\x01\x00v\x00", "a.npy: points: cannot be read"),
    "xyz of words": ("a.xyz", b"hello world\n", "a.xyz: points: cannot be read"),
    "xyz is empty": ("a.xyz", b"", "a.xyz: points: cannot be read"),
    "xyz is ragged": ("a.xyz", b"1 2 3\n4 5\n", "a.xyz: points: cannot be read"),
    "xyz has two columns": ("a.xyz", b"1 2\n4 5\n", "has shape (2, 2)"),
    "bin is cut short": ("a.pcd.bin", bytes(37), "holds 37 bytes, not a positive multiple of 20 (5 float32 per point)"),
    "bin is empty": ("a.pcd.bin", b"", "holds 0 bytes"),
    "bin is all NaN": ("a.pcd.bin", np.full((4, 5), np.nan, "<f4").tobytes(), "holds no finite point among 4"),
    "off is words": ("a.off", b"OFF\nhello\n", "a.off: mesh: cannot be read"),
    "glb is nothing": ("a.glb", b"glTF", "a.glb: mesh: cannot be read"),
    "obj without faces": ("a.obj", b"v 1 2 3\nv 1 2 4\n", "a.obj: faces: holds no faces"),
    "obj without area": ("a.obj", b"v 0 0 0\nv 0 0 0\nv 0 0 0\nf 1 2 3\n", "a.obj: faces: has an area of 0"),
}  # fmt: skip


@pytest.mark.parametrize("name, content, message", LIES.values(), ids=LIES)
def test_a_file_that_lies_is_one_clear_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BadFrameError) as caught:
        read(tmp_path / name)
    text = str(caught.value)
    assert message in text
    assert text.startswith(str(tmp_path / name))
    assert caught.value.fix
    assert "\n" not in text


def test_object_arrays_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(BadFrameError, match="points: cannot be read"):
        read(tmp_path / "a.npy")


def test_a_lying_ply_is_refused_before_it_is_sampled(tmp_path: Path) -> None:
    (tmp_path / "a.ply").write_bytes(ply(1000, ROWS))
    with pytest.raises(BadFrameError, match="promises 1000 points"):
        read(tmp_path / "a.ply", sample=True)


@pytest.mark.parametrize(
    "options, field", [({"up": "w"}, "up"), ({"columns": 2}, "columns"), ({"points": 0}, "points")]
)
def test_impossible_options(tmp_path: Path, options: dict, field: str) -> None:
    np.save(tmp_path / "a.npy", POINTS)
    with pytest.raises(InputError) as caught:
        open_scan("cloud", tmp_path / "a.npy", **options)
    assert caught.value.field == field


def test_unknown_formats_and_empty_folders(tmp_path: Path) -> None:
    with pytest.raises(BadDatasetError, match="holds no frames"):
        open_scan("cloud", tmp_path)
    np.savez(tmp_path / "a.npz", POINTS)
    with pytest.raises(BadDatasetError, match=r"ends in '\.npz'"):
        open_scan("cloud", tmp_path / "a.npz")


def test_real_scannet_mesh(real_data: Path) -> None:
    path = real_data / "scannet/scans/scene0000_00/scene0000_00_vh_clean_2.ply"
    frame = read(path)
    assert frame.points.shape == (81_369, 3)
    assert frame.colors.shape == (81_369, 3)
    assert len(np.unique(frame.colors, axis=0)) > 1000
    # The published subset of the vertices agrees in place and color.
    subset = read(real_data / "scannet/points/scene0000_00.bin", columns=6)
    place = {point.tobytes(): i for i, point in enumerate(frame.points)}
    rows = [place[point.tobytes()] for point in subset.points]
    np.testing.assert_array_equal(frame.colors[rows], subset.colors)


def test_real_meshes(real_data: Path) -> None:
    scan = open_scan("cloud", real_data / "objects/meshes", points=2000)
    frames = {frame.id: frame for frame in scan}
    assert len(frames) == 6
    assert {id for id, frame in frames.items() if frame.colors is not None} == {"chair", "lampRoundFloor"}
    assert len(np.unique(frames["lampRoundFloor"].colors, axis=0)) == 2
    heights = frames["chair"].world_points()[:, 2]
    assert heights.min() == pytest.approx(0, abs=0.01)
    assert heights.max() == pytest.approx(1.08, abs=0.02)


def test_a_file_that_is_no_npy_is_not_called_a_pickle(tmp_path: Path) -> None:
    (tmp_path / "a.npy").write_text("1 2 3")
    with pytest.raises(BadFrameError, match="reading magic string") as caught:
        read(tmp_path / "a.npy")
    assert "pickle" not in str(caught.value)


def test_a_file_in_millimeters_is_scaled(tmp_path: Path) -> None:
    np.save(tmp_path / "room.npy", np.array([[1000.0, 2000, 500], [0, 0, 250]]))
    assert open_scan("cloud", tmp_path / "room.npy", scale=0.001)[0].points.tolist() == [
        [1, 2, 0.5],
        [0, 0, 0.25],
    ]
    with pytest.raises(InputError, match="scale: is 0"):
        open_scan("cloud", tmp_path / "room.npy", scale=0)


def test_an_unknown_option_is_one_line_that_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'unit' is not an option of cloud\. Fix: known: columns, .*scale"):
        open_scan("cloud", tmp_path, unit="mm")
