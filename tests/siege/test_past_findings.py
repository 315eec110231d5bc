"""What a siege of an early commit found, one small case each; the codes are those of its report."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from support import bag_scenes, rgbd_twins
from support.bag_twins import FORMATS
from support.recognition_stand_ins import tiny_bank, tiny_model
from support.scan_twins import write_kitti_tracking

import clip2
from clip2.cli import main
from clip2.training import load_config
from data_prep.errors import InputError
from data_prep.scans import Frame, open_scan
from data_prep.storage.parsing import parse_array, parse_json, read_array, read_arrays
from data_prep.triplets.members import count_points, decode_record
from data_prep.yaml_text import parse_yaml

YESTERDAY = Path(__file__).resolve().parents[1] / "data" / "v0.1.0"


def lying_header(shape: object, dtype: str = "<f4") -> bytes:
    stream = BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


@pytest.fixture
def one_line(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must fail with one clean line; returns it."""

    def run(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 2
        lines = capfd.readouterr().err.splitlines()
        assert len(lines) == 1, lines
        assert lines[0].isprintable()
        assert len(lines[0]) < 1500
        return lines[0]

    return run


@pytest.fixture
def triplets(tmp_path: Path) -> Path:
    return shutil.copytree(YESTERDAY / "triplets", tmp_path / "T")


# -- M1: a header that promises more than there is ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(10**12, 3), (2**62, 2**62), (True, 3), (-1, 3), (10,)])
def test_m1_an_array_is_no_larger_than_its_file(shape: tuple[int, ...], tmp_path: Path) -> None:
    content = lying_header(shape) + b"\0" * 24
    (tmp_path / "a.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    for read in (
        lambda: parse_array(content),
        lambda: read_array(tmp_path / "a.npy"),
        lambda: read_arrays(tmp_path / "a.npz"),
    ):
        with pytest.raises(ValueError):
            read()


def test_m1_classify(tmp_path: Path, one_line: Callable[..., str]) -> None:
    (tmp_path / "a.npy").write_bytes(lying_header((10**12, 3)))
    assert "12,000,000,000,000 bytes" in one_line("classify", tmp_path / "a.npy")


# -- M2: damaged bags --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", FORMATS)
def test_m2_bags_with_noise_are_bad_frames_or_one_line(format: str, tmp_path: Path) -> None:
    bag_scenes.write_vehicle(tmp_path, format)
    root = next(tmp_path.iterdir())
    file = max((root.rglob("*") if root.is_dir() else [root]), key=lambda path: path.stat().st_size)
    sound = file.read_bytes()
    for seed in range(6):
        rng = np.random.default_rng(seed)
        start = int(rng.integers(20, 2000 if seed % 2 else len(sound) - 300))
        file.write_bytes(sound[:start] + b"\xff" * 300 + sound[start + 300 :])
        with contextlib.suppress(InputError):  # anything else fails the test
            list(open_scan("rosbag", root))
    file.write_bytes(sound[: len(sound) // 2])
    with pytest.raises(InputError):
        list(open_scan("rosbag", root))


# -- M3: archives ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2]
)
@pytest.mark.parametrize(
    "content", [b"x", b"\x93NUMPY\x01\x00\x06\x00{'desc", lying_header((3,), "<U4") + b"\xff" * 48, b""]
)
def test_m3_members_that_are_no_arrays(content: bytes, compression: int, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.npz", "w", compression) as archive:
        archive.writestr("names.npy", content)
        archive.writestr("embeddings.npy", content)
    with pytest.raises(InputError, match=r"b\.npz"):
        clip2.TextBank.load(tmp_path / "b.npz")


# -- M4: triplet sets, which are meant to be downloaded ----------------------------------------------------------------------


def test_m4_manifest(triplets: Path, one_line: Callable[..., str]) -> None:
    (triplets / "manifest.json").write_text("[" * 10**5)
    assert "nested too deeply" in one_line("inspect", triplets)


def test_m4_members_of_shards() -> None:
    record = b"[" * 10**5
    with pytest.raises(InputError, match="nested too deeply"):
        decode_record("key", {"json": record}, "shard-0.tar")
    with pytest.raises(InputError, match=r"key\.points\.npy"):
        count_points("key", {"points.npy": lying_header((10**12, 3))[:30]}, "shard-0.tar")


# -- M5: nesting, digits, aliases --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["[" * 10**5, '{"a":' * 10**5, "9" * 5000])
def test_m5_json(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        parse_json(text)
    model = shutil.copytree(YESTERDAY / "model", tmp_path / "M")
    (model / "config.json").write_text(text)
    with pytest.raises(InputError, match=r"config\.json"):
        clip2.load(model)


_BOMB = "a: &a [x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


@pytest.mark.parametrize(
    "text", ["seed: &a [*a]", "? [1]\n: 2", "seed: !!timestamp x", "[" * 10**4, _BOMB, "seed: " + "9" * 5000]
)
def test_m5_yaml(text: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        parse_yaml(text)
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError, match=r"c\.yaml"):
        load_config(tmp_path / "c.yaml")


def test_m5_overrides() -> None:
    with pytest.raises(InputError, match="--set"):
        load_config(None, ["seed=" + "9" * 5000])


# -- M7: values that break a contract ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, -5.0, 1e30])
def test_m7_intensity(value: float, tmp_path: Path) -> None:
    write_kitti_tracking(tmp_path)
    file = next(tmp_path.rglob("*.bin"))
    points = np.fromfile(file, "<f4")
    points[3] = value
    points.tofile(file)
    intensity = open_scan("kitti-tracking", tmp_path)[0].intensity
    assert intensity is not None
    assert 0 <= intensity.min() <= intensity.max() <= 1


@pytest.mark.parametrize("time", [float("inf"), float("nan")])
def test_m7_a_time_that_is_none(time: float) -> None:
    with pytest.raises(InputError, match="timestamp"):
        Frame("a", np.zeros((1, 3), np.float32), timestamp=time)


def test_m7_a_model_with_a_weight_that_is_no_number(tmp_path: Path) -> None:
    model = tiny_model(tiny_bank())
    with_nan = next(iter(model.state_dict().values()))
    with_nan.view(-1)[0] = float("nan")
    clip2.save(model, tmp_path / "M")
    with pytest.raises(InputError, match="not finite"):
        clip2.load(tmp_path / "M")


# -- M10: text of others in a terminal ---------------------------------------------------------------------------------------

CODES = "\x1b]0;PWN\x07"


def test_m10_labels_of_a_set(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["prep", "procedural", "room", "--option=frames=1", "--option=image_size=160,120"]
    assert main([*arguments, "--caption-template", f"a {{}} {CODES}", "--out", str(tmp_path / "w")]) == 0
    assert main(["inspect", str(tmp_path / "w")]) == 0
    shown = capfd.readouterr()
    assert "PWN" in shown.out
    assert not re.search(r"\x1b\]|\x07", shown.out + shown.err)


def test_m10_names_of_files_and_keys(tmp_path: Path, one_line: Callable[..., str]) -> None:
    (tmp_path / "k.yaml").write_text('"\\e]0;PWN\\a": 1')
    assert "PWN" in one_line(
        "train", "--config", tmp_path / "k.yaml", "--data", tmp_path, "--out", tmp_path / "o"
    )
    assert "PWN" in one_line("classify", tmp_path / f"{CODES}.ply")


# -- M11, L6: odd clouds -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [(1, 0, 0), (0, 0, 1), (1, 1, 0), (0, 0, 0), (1, 1, 1e-7)])
def test_m11_degenerate_clouds(spread: tuple[float, ...]) -> None:
    points = np.random.default_rng(0).uniform(-20, 20, (900, 3)) * spread
    recognizer = clip2.Recognizer(tiny_model(tiny_bank()))
    with contextlib.suppress(InputError):
        assert np.isfinite(recognizer.set_scan(points).boxes).all()


def test_l6_arrays_of_other_kinds() -> None:
    recognizer = clip2.Recognizer(tiny_model(tiny_bank()))
    points = np.zeros((9, 3))
    points[3] = np.nan
    for scan in (
        np.zeros((9, 3), complex),
        (points, np.zeros((4, 3), np.uint8)),
        np.zeros((9, 3), "U3"),
        np.zeros((9, 3), object),
    ):
        with pytest.raises(InputError):
            recognizer.set_scan(scan)


# -- L1, L5: names and files that are none -----------------------------------------------------------------------------------


def test_l1_a_list_does_not_lead_out_of_its_folder(tmp_path: Path) -> None:
    root = tmp_path / "scan"
    root.mkdir()
    rgbd_twins.write_tum(root)
    image = next((root / "rgb").iterdir())
    shutil.copy(image, tmp_path / "secret.png")
    text = (root / "rgb.txt").read_text()
    (root / "rgb.txt").write_text(text.replace(f"rgb/{image.name}", "../secret.png"))
    with pytest.raises(InputError, match=r"secret\.png"):
        list(open_scan("tum", root, up="z"))


# -- L2: bombs ---------------------------------------------------------------------------------------------------------------


def test_l2_an_array_of_zeros_is_not_unpacked_to_be_refused(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "b.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("names.npy", "w") as member,
    ):
        member.write(lying_header((150_000_000,), "|u1"))
        for _ in range(150):
            member.write(bytes(1_000_000))
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(InputError):
        clip2.TextBank.load(tmp_path / "b.npz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40e6


# -- L3: secrets -------------------------------------------------------------------------------------------------------------


def test_l3_a_password_is_not_shown(tmp_path: Path, one_line: Callable[..., str]) -> None:
    (tmp_path / "d.json").write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    url = "http://user:PASSWORD@127.0.0.1:9/s"
    line = one_line("prep", "kitti", url, "--detections", tmp_path / "d.json", "--out", tmp_path / "o")
    assert "127.0.0.1" in line
    assert "PASSWORD" not in line


def test_l8_a_line_does_not_quote_a_file_back(tmp_path: Path, one_line: Callable[..., str]) -> None:
    (tmp_path / "c.yaml").write_text("seed: " + "x" * 100_000)
    assert "c.yaml" in one_line(
        "train", "--config", tmp_path / "c.yaml", "--data", tmp_path, "--out", tmp_path / "o"
    )
    (tmp_path / "d.yaml").write_text(yaml.safe_dump({"x" * 100_000: 1}))
    assert "d.yaml" in one_line(
        "train", "--config", tmp_path / "d.yaml", "--data", tmp_path, "--out", tmp_path / "o"
    )


# -- Found later -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value"),
    [("SIZE", "4 4 4 1"), ("COUNT", "1 1 1 2"), ("COUNT", "1 2 1 1")],
)
def test_a_pcd_whose_fields_are_of_another_width(tmp_path: Path, key: str, value: str) -> None:
    header = {"FIELDS": "x y z rgb", "SIZE": "4 4 4 4", "TYPE": "F F F U", "COUNT": "1 1 1 1", "WIDTH": "2"}
    header |= {"HEIGHT": "1", "POINTS": "2", "DATA": "ascii", key: value}
    columns = sum(map(int, header["COUNT"].split()))
    rows = [" ".join(["1"] * columns)] * 2
    (tmp_path / "a.pcd").write_text("\n".join([f"{k} {v}" for k, v in header.items()] + rows))
    with pytest.raises(InputError, match="one number per point, packed colors in four bytes"):
        open_scan("cloud", tmp_path / "a.pcd")[0]


def test_a_remark_between_the_points_of_a_text_file(tmp_path: Path) -> None:
    header = "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 2\nHEIGHT 1\nPOINTS 2\nDATA ascii"
    (tmp_path / "a.pcd").write_text(f"{header}\n1 2 3\n#4 5 6\n")
    with pytest.raises(InputError, match="a row that is not numbers"):
        open_scan("cloud", tmp_path / "a.pcd")[0]


def test_a_key_that_is_there_twice() -> None:
    with pytest.raises(ValueError, match="holds the key 'a' twice"):
        parse_json('[{"b": 1, "a": 2, "a": 2}]')
