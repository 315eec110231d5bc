"""LAS, LAZ and E57: far coordinates, 16-bit colors, units, poses, and files that do not hold what they promise."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from pathlib import Path

import laspy
import numpy as np
import pye57
import pytest
from laspy.vlrs.known import GeoKeyDirectoryVlr, WktCoordinateSystemVlr
from pye57 import libe57
from scipy.spatial.transform import Rotation

from data_prep import BadFrameError, Frame, InputError, open_scan

COUNT = 300
RNG = np.random.default_rng(0)
NEAR = RNG.uniform(-20, 20, (COUNT, 3)).round(3)
UTM = np.array([448_000.0, 5_410_000, 250])  # where float32 has steps of 3 cm in x and half a meter in y
COLORS = RNG.integers(0, 256, (COUNT, 3), dtype=np.uint8)
STRENGTH = RNG.integers(1, 65536, COUNT)


def read(path: Path, **options: object) -> Frame:
    return open_scan("cloud", path, **options)[0]


def write_las(
    path: Path,
    points: np.ndarray = NEAR,
    colors: np.ndarray | None = None,
    intensity: np.ndarray | None = None,
    point_format: int = 3,
    vlr: object = None,
    withheld: np.ndarray | None = None,
) -> Path:
    header = laspy.LasHeader(point_format=point_format, version="1.4" if point_format > 5 else "1.2")
    header.scales, header.offsets = np.full(3, 0.001), np.floor(points.mean(axis=0))
    if vlr is not None:
        header.vlrs.append(vlr)
    las = laspy.LasData(header)
    las.x, las.y, las.z = points.T
    if colors is not None:
        las.red, las.green, las.blue = colors.T
    if intensity is not None:
        las.intensity = intensity
    if withheld is not None:
        las.withheld = withheld
    las.write(path)
    return path


@pytest.mark.parametrize("name", ["a.las", "a.laz", "A.LAZ"])
@pytest.mark.parametrize("point_format", [3, 7])
def test_far_coordinates_keep_their_millimeters(tmp_path: Path, name: str, point_format: int) -> None:
    path = write_las(tmp_path / name, NEAR + UTM, COLORS.astype(np.uint16) * 257, STRENGTH, point_format)
    frame = read(path)
    assert frame.points.dtype == np.float32
    np.testing.assert_allclose(frame.world_points(), NEAR + UTM, atol=1e-3)
    np.testing.assert_allclose(np.diff(frame.points, axis=0), np.diff(NEAR, axis=0), atol=2e-3)
    np.testing.assert_array_equal(frame.colors, COLORS)
    np.testing.assert_allclose(frame.intensity, STRENGTH / 65535, rtol=1e-6)


def test_colors_of_8_bits_in_a_field_of_16(tmp_path: Path) -> None:
    np.testing.assert_array_equal(read(write_las(tmp_path / "a.las", colors=COLORS)).colors, COLORS)


def test_zeros_throughout_were_not_measured(tmp_path: Path) -> None:
    frame = read(write_las(tmp_path / "a.las"))
    assert frame.colors is None
    assert frame.intensity is None


def test_a_format_without_color(tmp_path: Path) -> None:
    frame = read(write_las(tmp_path / "a.laz", intensity=STRENGTH, point_format=1))
    assert frame.colors is None
    assert len(frame.intensity) == COUNT


def test_withheld_points_are_deleted_points(tmp_path: Path) -> None:
    withheld = np.arange(COUNT) % 3 == 0
    path = write_las(tmp_path / "a.las", colors=COLORS, withheld=withheld)
    frame = read(path)
    np.testing.assert_allclose(frame.points, NEAR[~withheld], atol=1e-3)
    np.testing.assert_array_equal(frame.colors, COLORS[~withheld])
    with pytest.raises(BadFrameError, match="withholds every point"):
        read(write_las(tmp_path / "b.las", withheld=np.ones(COUNT, bool)))


def test_laz_of_several_chunks(tmp_path: Path) -> None:
    many = RNG.uniform(0, 50, (120_001, 3))  # chunks have 50,000 points
    np.testing.assert_allclose(read(write_las(tmp_path / "a.laz", many)).points, many, atol=1e-3)


@pytest.mark.parametrize("name", ["a.las", "a.laz"])
def test_some_points_of_a_file_that_is_read_in_pieces(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.setattr("data_prep.scans.formats.las._PIECE", 7_000)
    many = np.c_[np.arange(20_001) / 100, np.zeros(20_001), np.ones(20_001)]
    frame = open_scan("cloud", write_las(tmp_path / name, many), most=100)[0]
    rows = np.rint(frame.world_points()[:, 0] * 100).astype(int)
    hundredths = np.searchsorted(np.arange(100) * 20_001 // 100, rows, side="right") - 1
    assert (hundredths == np.arange(100)).all(), "one point of each"
    assert frame.notes == ("100 of 20,001 points are used",)


def wkt(text: str) -> WktCoordinateSystemVlr:
    return WktCoordinateSystemVlr(text)


def keys(**values: int) -> GeoKeyDirectoryVlr:
    numbers = {"model": 1024, "across": 3076, "up": 4099}
    vlr = GeoKeyDirectoryVlr()
    entries = b"".join(struct.pack("<4H", numbers[name], 0, 1, value) for name, value in values.items())
    vlr.parse_record_data(struct.pack("<4H", 1, 1, 0, len(values)) + entries)
    return vlr


FOOT, SURVEY_FOOT = 0.3048, 1200 / 3937
GEOGCS = 'GEOGCS["NAD83",DATUM["D",SPHEROID["GRS 1980",6378137,298.25]],UNIT["degree",0.0174532925199433]]'
STATE_PLANE = f'PROJCS["NAD83 / ftUS",{GEOGCS},PROJECTION["LCC"],UNIT["US survey foot",0.3048006096012192],AXIS["X",EAST]]'
UTM_WKT = f'PROJCS["UTM 32N",{GEOGCS},PROJECTION["TM"],UNIT["meter",1,AUTHORITY["EPSG","9001"]]]'
WKT2_FEET = (
    'PROJCRS["x",BASEGEOGCRS["NAD83",ELLIPSOID["GRS 1980",6378137,298.25,LENGTHUNIT["meter",1]],'
    'PRIMEM["G",0,ANGLEUNIT["degree",0.01745]]],CONVERSION["c",PARAMETER["e",0,LENGTHUNIT["foot",0.3048]]],'
    'CS[Cartesian,2],AXIS["x",east],AXIS["y",north],LENGTHUNIT["foot",0.3048]]'
)
HEIGHTS = 'VERT_CS["h",VERT_DATUM["d",2005],UNIT["meter",1]]'
UNITS = {
    "no coordinate system": (None, (1, 1, 1)),
    "UTM": (wkt(UTM_WKT), (1, 1, 1)),
    "survey feet": (wkt(STATE_PLANE), (SURVEY_FOOT,) * 3),
    "survey feet, heights in meters": (wkt(f'COMPD_CS["c",{STATE_PLANE},{HEIGHTS}]'), (SURVEY_FOOT, SURVEY_FOOT, 1)),
    "feet in WKT 2": (wkt(WKT2_FEET), (FOOT,) * 3),
    "keys, meters": (keys(model=1, across=9001), (1, 1, 1)),
    "keys, survey feet": (keys(model=1, across=9003), (SURVEY_FOOT,) * 3),
    "keys, feet up only": (keys(model=1, across=9001, up=9002), (1, 1, FOOT)),
}  # fmt: skip


@pytest.mark.parametrize("vlr, factors", UNITS.values(), ids=UNITS)
def test_feet_become_meters(tmp_path: Path, vlr: object, factors: tuple[float, ...]) -> None:
    frame = read(write_las(tmp_path / "a.las", vlr=vlr))
    np.testing.assert_allclose(frame.points, NEAR * factors, atol=1e-3)


@pytest.mark.parametrize(
    "vlr, message",
    [(wkt(GEOGCS), "x and y are degrees"), (keys(model=2), "degrees"), (keys(across=9036), "unit 9036")],
)
def test_degrees_are_refused(tmp_path: Path, vlr: object, message: str) -> None:
    with pytest.raises(BadFrameError, match=message):
        read(write_las(tmp_path / "a.las", vlr=vlr))


def overwrite(place: int, content: bytes) -> Callable[[bytes], bytes]:
    return lambda whole: whole[:place] + content + whole[place + len(content) :]


LIES = {
    "cut short": ("a.las", lambda w: w[:-7], "promises 300 points of 34 bytes, the file holds 299"),
    "cut in the header": ("a.las", lambda w: w[:90], "does not begin like a LAS file"),
    "empty": ("a.las", lambda w: b"", "does not begin like a LAS file"),
    "another format": ("a.las", lambda w: b"ply" + w, "does not begin like a LAS file"),
    "too many points": ("a.las", overwrite(107, struct.pack("<I", 4_000_000_000)), "promises 4000000000 points"),
    "too few points": ("a.las", overwrite(107, struct.pack("<I", 10)), "promises 10 points"),
    "no points": ("a.las", overwrite(107, struct.pack("<I", 0)), "holds no points"),
    "endless records": ("a.las", overwrite(100, struct.pack("<I", 4_000_000_000)), "promises 4000000000 records"),
    "points beyond the end": ("a.las", overwrite(96, struct.pack("<I", 1 << 30)), "records before byte"),
    "laz cut short": ("a.laz", lambda w: w[: len(w) // 2], "puts the table of its chunks at byte"),
    "laz of other points": ("a.laz", overwrite(107, struct.pack("<I", 4_000_000_000)), "promises 4000000000 points in 1 chunks"),
}  # fmt: skip


@pytest.mark.parametrize("name, spoil, message", LIES.values(), ids=LIES)
def test_a_las_that_lies_is_one_line(tmp_path: Path, name: str, spoil: Callable, message: str) -> None:
    path = write_las(tmp_path / name)
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(BadFrameError) as caught:
        read(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_laz_whose_table_asks_for_all_memory(tmp_path: Path) -> None:
    path = write_las(tmp_path / "a.laz")
    whole = path.read_bytes()
    start = struct.unpack_from("<I", whole, 96)[0]
    table = struct.unpack_from("<q", whole, start)[0]
    path.write_bytes(overwrite(table + 4, struct.pack("<I", 4_000_000_000))(whole))
    with pytest.raises(BadFrameError, match="in 4000000000 chunks of 50000"):
        read(path)


TURN = Rotation.from_euler("z", 90, degrees=True)


def write_e57(path: Path, *scans: dict[str, np.ndarray], shift: float = 10.0) -> Path:
    """Scan number n stands at (shift · n, 0, 2), turned by 90 degrees · n."""
    with pye57.E57(str(path), mode="w") as file:
        for number, scan in enumerate(scans):
            x, y, z, w = (TURN**number).as_quat()
            file.write_scan_raw(
                scan, rotation=np.array([w, x, y, z]), translation=np.array([shift * number, 0, 2])
            )
    return path


def scan_fields(
    points: np.ndarray = NEAR, colors: bool = True, **fields: np.ndarray
) -> dict[str, np.ndarray]:
    scan = dict(zip(("cartesianX", "cartesianY", "cartesianZ"), points.T.copy(), strict=True))
    if colors:
        scan |= dict(zip(("colorRed", "colorGreen", "colorBlue"), COLORS.T.copy(), strict=True))
    return scan | fields


def test_scans_of_an_e57_meet_by_their_poses(tmp_path: Path) -> None:
    path = write_e57(tmp_path / "a.e57", scan_fields(), scan_fields())
    first = NEAR + [0, 0, 2]
    second = np.c_[-NEAR[:, 1], NEAR[:, 0], NEAR[:, 2]] + [10, 0, 2]  # x → y, y → -x
    frame = read(path)
    np.testing.assert_allclose(frame.points, np.r_[first, second], atol=1e-5)
    np.testing.assert_array_equal(frame.colors, np.r_[COLORS, COLORS])
    np.testing.assert_allclose(read(path, scan=1).points, second, atol=1e-5)
    with pytest.raises(BadFrameError, match=r"a\.e57: scan: 2 is not there\. Fix: the file has scans 0 to 1"):
        read(path, scan=2)


def test_e57_far_away(tmp_path: Path) -> None:
    frame = read(write_e57(tmp_path / "a.e57", scan_fields(), scan_fields(), shift=500_000.0), scan=1)
    np.testing.assert_allclose(frame.world_points().mean(axis=0)[0], 500_000 - NEAR[:, 1].mean(), atol=1e-3)
    np.testing.assert_allclose(np.ptp(frame.points, axis=0)[2], np.ptp(NEAR[:, 2]), atol=1e-4)


def test_invalid_points_of_an_e57_are_left_out(tmp_path: Path) -> None:
    state = (np.arange(COUNT) % 4).clip(0, 2).astype("b")  # 0 valid, 1 direction only, 2 nothing
    path = write_e57(tmp_path / "a.e57", scan_fields(cartesianInvalidState=state))
    np.testing.assert_allclose(read(path).points, NEAR[state == 0] + [0, 0, 2], atol=1e-5)
    np.testing.assert_array_equal(read(path).colors, COLORS[state == 0])


def test_intensity_by_the_limits_that_the_scan_states(tmp_path: Path) -> None:
    strength = np.linspace(100, 300, COUNT, dtype=np.float32)
    frame = read(write_e57(tmp_path / "a.e57", scan_fields(intensity=strength)))
    np.testing.assert_allclose(frame.intensity, np.linspace(0, 1, COUNT), atol=1e-6)


def test_colors_stay_only_if_every_scan_has_them(tmp_path: Path) -> None:
    path = write_e57(tmp_path / "a.e57", scan_fields(), scan_fields(colors=False))
    assert read(path).colors is None
    assert read(path, scan=0).colors is not None


def write_spherical(path: Path, invalid: int) -> Path:
    """Three points, by libE57 itself: pye57 writes cartesian ones only."""
    with pye57.E57(str(path), mode="w") as file:
        image = file.image_file
        node, prototype = libe57.StructureNode(image), libe57.StructureNode(image)
        node.set("guid", libe57.StringNode(image, "{1}"))
        values = {
            "sphericalRange": [2, 3, 4],
            "sphericalAzimuth": [0, np.pi / 2, 0],
            "sphericalElevation": [0, 0, np.pi / 2],
            "sphericalInvalidState": [invalid] * 3,
        }
        for name in [*values][:3]:
            prototype.set(name, libe57.FloatNode(image, 0.0, libe57.E57_DOUBLE, -10.0, 10.0))
        prototype.set("sphericalInvalidState", libe57.IntegerNode(image, 0, 0, 2))
        points = libe57.CompressedVectorNode(image, prototype, libe57.VectorNode(image, True))
        node.set("points", points)
        file.data3d.append(node)
        arrays, buffers = file.make_buffers([*values], 3)
        for name, column in values.items():
            arrays[name][:] = column
        writer = points.writer(buffers)
        writer.write(3)
        writer.close()
    return path


def test_spherical_e57(tmp_path: Path) -> None:
    points = read(write_spherical(tmp_path / "a.e57", invalid=0)).points
    np.testing.assert_allclose(points, [[2, 0, 0], [0, 3, 0], [0, 0, 4]], atol=1e-6)


def test_an_e57_without_a_valid_point(tmp_path: Path) -> None:
    with pytest.raises(BadFrameError, match="holds no valid point"):
        read(write_spherical(tmp_path / "a.e57", invalid=2))


E57_LIES = {
    "cut short": lambda w: w[: len(w) // 2],
    "one bit": lambda w: overwrite(len(w) // 2, bytes([w[len(w) // 2] ^ 1]))(w),
    "empty": lambda w: b"",
    "another format": lambda w: b"LASF" * 500,
}


@pytest.mark.parametrize("spoil", E57_LIES.values(), ids=E57_LIES)
def test_a_damaged_e57_is_one_line(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = write_e57(tmp_path / "a.e57", scan_fields())
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(BadFrameError, match=r"a\.e57: points: cannot be read") as caught:
        read(path)
    assert "\n" not in str(caught.value)
    assert path.exists()


@pytest.mark.parametrize("module, name", [("laspy", "a.las"), ("pye57", "a.e57")])
def test_without_the_extra_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str, name: str
) -> None:
    (tmp_path / name).write_bytes(b"x")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(InputError, match=rf"needs {module}.*pip install 'clip2\[lidar\]'"):
        read(tmp_path / name)


def test_a_folder_of_tiles(tmp_path: Path) -> None:
    for name in ("b.laz", "a.las"):
        write_las(tmp_path / name)
    write_e57(tmp_path / "c.e57", scan_fields())
    assert open_scan("cloud", tmp_path).frame_ids() == ["a", "b", "c"]
