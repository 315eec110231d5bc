import json

import numpy as np
import pytest
from support.mini_stand_ins import WORDS, make_everything_strange, put_tiny_mini_points
from support.recognition_stand_ins import MODEL, three_boxes_on_a_floor, tiny_bank, tiny_model
from support.rgbd_twins import write_scannet_export

from clip2.checkpoint import save
from clip2.cli import main
from clip2.recognition import Instances3D
from clip2.teacher import TextBank
from data_prep import open_scan


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    save(tiny_model(), folder, text_bank=tiny_bank())
    return str(folder)


@pytest.fixture(scope="module")
def wordless(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "wordless"
    save(tiny_model(), folder)
    return str(folder)


@pytest.fixture
def cloud(tmp_path):
    path = tmp_path / "room.npy"
    np.save(path, three_boxes_on_a_floor(0.024).astype(np.float32))
    return str(path)


def error_of(capsys, *arguments) -> str:
    assert main(["recognize", *arguments]) == 2
    return capsys.readouterr().err.replace("\n", " ")


def test_a_cloud_becomes_three_files(cloud, run, tmp_path, capsys):
    out = tmp_path / "out" / "found.json"
    assert main(["recognize", cloud, "--model", run, "--labels", "chair,table", "--out", str(out)]) == 0
    result = Instances3D.from_json(out)
    assert len(result) == 3
    assert result.vocabulary == ("chair", "table")
    assert sorted(p.name for p in out.parent.iterdir()) == ["found.html", "found.json", "found.ply"]
    assert "3 of 3 objects kept" in capsys.readouterr().out


def test_json_goes_to_standard_output_alone(cloud, run, tmp_path, capsys):
    out = tmp_path / "found.json"
    arguments = [cloud, "--model", run, "--labels", "chair,table", "--out", str(out), "--json"]
    assert main(["recognize", *arguments]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["objects"]) == 3
    assert document["files"] == [str(out.with_suffix(s)) for s in (".json", ".ply", ".html")]
    assert set(document["seconds"]) == {"propose", "boxes", "encode"}


def test_the_first_command_needs_no_model_and_no_words(cloud, tmp_path, monkeypatch, capsys):
    put_tiny_mini_points(tmp_path / "shipped", monkeypatch)
    out = tmp_path / "r.json"
    assert main(["recognize", cloud, "--out", str(out)]) == 0
    shown = capsys.readouterr()
    assert shown.err.replace("\n", " ").count("synthetic world") == 1
    assert "one synthetic world" in out.with_suffix(".html").read_text()
    assert Instances3D.from_json(out).vocabulary == WORDS
    assert main(["recognize", cloud, "--out", str(out), "--background", "table", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "one synthetic world" in document["note"]
    assert document["vocabulary"] == ["chair", "box", "traffic light"]


def test_what_the_model_does_not_know_is_unknown(cloud, tmp_path, monkeypatch, capsys):
    put_tiny_mini_points(tmp_path / "shipped", monkeypatch)
    make_everything_strange(tmp_path / "shipped" / "points")
    out = ["--out", str(tmp_path / "r.json")]
    assert main(["recognize", cloud, *out]) == 0
    shown = capsys.readouterr()
    assert "3 of 3 objects kept, 3 unknown" in shown.out
    assert "clip2 fetch openshape-vitb32" in shown.err.replace("\n", " ")  # a model that knows real things
    assert Instances3D.from_json(tmp_path / "r.json").labels == ("unknown",) * 3
    assert main(["recognize", cloud, *out, "--unknown", "name", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    named = document["objects"]
    assert "clip2 fetch" not in document["note"]
    assert {item["label"] for item in named} <= set(WORDS)
    assert main(["recognize", cloud, *out, "--unknown", "drop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["objects"] == []


def test_words_can_come_from_a_bank_file(cloud, wordless, tmp_path, capsys):
    bank = tiny_bank()
    np.savez(tmp_path / "bank.npz", names=np.array(bank.names), embeddings=bank.embeddings)
    arguments = [cloud, "--model", wordless, "--labels", "chair", "--out", str(tmp_path / "r.json")]
    given = ["--bank", str(tmp_path / "bank.npz"), "--bank-model", MODEL]
    assert main(["recognize", *arguments, *given]) == 0
    capsys.readouterr()
    assert "--bank-model" in error_of(capsys, *arguments, "--bank", str(tmp_path / "bank.npz"))
    other = ["--bank", str(tmp_path / "bank.npz"), "--bank-model", "ViT-B-16/openai"]
    assert "ViT-B-16" in error_of(capsys, *arguments, *other)
    assert "exclude each other" in error_of(capsys, *arguments, *given, "--clip", MODEL)
    assert "weights are not on this machine" in error_of(capsys, *arguments)
    assert "needs --bank" in error_of(capsys, *arguments, "--bank-model", MODEL)


def test_up_axis_of_a_file(run, tmp_path, capsys):
    points = three_boxes_on_a_floor(0.024).astype(np.float32)
    np.save(tmp_path / "yup.npy", points[:, [1, 2, 0]])  # z-up x y z stored as y z x: up is y
    arguments = ["--model", run, "--labels", "chair", "--out", str(tmp_path / "r.json"), "--json"]
    assert main(["recognize", str(tmp_path / "yup.npy"), "--up", "y", *arguments]) == 0
    heights = sorted(o["size"][2] for o in json.loads(capsys.readouterr().out)["objects"])
    assert heights == pytest.approx([0.5, 0.6, 0.6], abs=0.06)


def test_a_sequence_is_fused(run, tmp_path, capsys):
    arguments = ["room", "--source", "procedural", "--model", run, "--labels", "chair,table"]
    out = ["--out", str(tmp_path / "r.json"), "--json", "--voxel", "0.04"]
    assert main(["recognize", *arguments, *out]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["frame"]["id"] == "room-0000-000000-room-0000-000007"
    assert len(document["objects"]) > 2
    assert main(["recognize", *arguments, *out, "--frame", "3"]) == 0
    assert json.loads(capsys.readouterr().out)["frame"]["id"] == "room-0000-000003"
    many = "--frame: is '8'. Fix: the scan has 8 frames: give 0 to 7, or an id like room-0000-000000"
    assert many in error_of(capsys, *arguments, "--frame", "8")
    one = "--frame: is '8'. Fix: the scan has one frame: give 0 or room-0000-000000, or leave out --frame"
    assert one in error_of(capsys, *arguments, "--option", "frames=1", "--frame", "8")
    assert main(["recognize", *arguments, *out, "--every", "4"]) == 0
    assert json.loads(capsys.readouterr().out)["frame"]["id"] == "room-0000-000000-room-0000-000004"
    for given, complaint in (
        (["--every", "0"], "--every: is 0"),
        (["--every", "2", "--frame", "3"], "--every: is for frames that are fused"),
        (["--option", "worlds=2"], "has frames of 2 worlds, like room 0 and room 1"),
    ):
        assert complaint in error_of(capsys, *arguments, *given)


def test_a_lost_camera_does_not_stop_a_sequence(run, tmp_path, capsys, caplog):
    root = write_scannet_export(tmp_path / "scene0000_00")
    lost = "\n".join(["-inf -inf -inf -inf"] * 4)
    (root / "pose/2.txt").write_text(lost)
    arguments = [str(root), "--source", "scannet", "--model", run, "--labels", "chair"]
    out = ["--out", str(tmp_path / "r.json"), "--json"]
    assert main(["recognize", *arguments, *out]) == 0
    assert json.loads(capsys.readouterr().out)["frame"]["id"] == "0-1"
    assert "1 of 3 frames left out" in caplog.text
    assert "pose of frame 2" in caplog.text
    for number in (0, 1):
        (root / f"pose/{number}.txt").write_text(lost)
    assert "the camera was lost here" in error_of(capsys, *arguments)


def test_bad_words_stop_before_the_scan_is_read(run, tmp_path, capsys):
    (tmp_path / "rubbish.ply").write_bytes(b"rubbish")
    for labels, message in (
        ("", "is empty"),
        ("chair,chair", "twice"),
        ("chair,Chair", "the same label"),
        ("submarine", "submarine"),
    ):
        assert message in error_of(capsys, str(tmp_path / "rubbish.ply"), "--model", run, "--labels", labels)


def test_bad_input_is_one_line(cloud, run, tmp_path, capsys):
    labels = ["--labels", "chair"]
    assert "does not exist" in error_of(capsys, str(tmp_path / "no.ply"), "--model", run, *labels)
    (tmp_path / "empty.bin").write_bytes(b"")
    assert "empty.bin" in error_of(capsys, str(tmp_path / "empty.bin"), "--model", run, *labels)
    assert "threshold" in error_of(capsys, cloud, "--model", run, *labels, "--threshold", "2")
    assert "knows its own axes" in error_of(
        capsys, "room", "--source", "procedural", "--up", "y", "--model", run, *labels
    )


def test_real_sweep_with_and_without_detections(real_data, run, tmp_path, capsys):
    root = str(real_data / "kitti_object")
    arguments = [root, "--source", "kitti", "--model", run, "--labels", "chair,table"]
    out = ["--out", str(tmp_path / "r.json"), "--json"]
    assert main(["recognize", *arguments, *out, "--frame", "000002"]) == 0
    assert len(json.loads(capsys.readouterr().out)["objects"]) > 10
    boxes = str(real_data / "detections" / "kitti_object_gt.json")
    assert main(["recognize", *arguments, *out, "--frame", "000002", "--detections", boxes]) == 0
    assert 1 <= len(json.loads(capsys.readouterr().out)["objects"]) <= 2
    assert "3 frames that are not one cloud" in error_of(capsys, *arguments)


def test_the_scan_is_never_overwritten(run, tmp_path, capsys):
    points = three_boxes_on_a_floor(0.05).astype(np.float32)
    header = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(points)}\n"
    header += "".join(f"property float {axis}\n" for axis in "xyz") + "end_header\n"
    scan = tmp_path / "room.ply"
    scan.write_bytes(header.encode() + points.tobytes())
    before = scan.read_bytes()
    words = ["--model", run, "--labels", "chair"]
    beside = str(tmp_path / "room.json")
    for given in (str(scan), str(tmp_path / "." / "room.ply")):
        message = error_of(capsys, given, *words, "--out", beside)
        assert "room.ply: --out: would be overwritten" in message.replace("  ", " ")
    # A folder of clouds: the frame that is read lies under another name than the folder's.
    assert "would be overwritten" in error_of(
        capsys, str(tmp_path), *words, "--frame", "room", "--out", beside
    )
    boxes = str(tmp_path / "boxes.json")
    assert "would be overwritten" in error_of(
        capsys, str(scan), *words, "--detections", boxes, "--out", boxes
    )
    assert "would be overwritten" in error_of(capsys, str(scan), *words, "--bank", boxes, "--out", boxes)
    assert scan.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["room.ply"]


def test_the_name_given_is_the_name_written(cloud, run, tmp_path, capsys):
    words = ["--model", run, "--labels", "chair"]
    out = tmp_path / "out" / "v1.scene"
    assert main(["recognize", cloud, *words, "--out", str(out)]) == 0
    assert sorted(p.name for p in out.parent.iterdir()) == ["v1.html", "v1.ply", "v1.scene"]
    assert len(Instances3D.from_json(out)) == 3
    capsys.readouterr()
    assert "would be written twice" in error_of(capsys, cloud, *words, "--out", str(tmp_path / "r.ply"))
    assert "is a folder" in error_of(capsys, cloud, *words, "--out", str(tmp_path))
    (tmp_path / "s.html").mkdir()
    assert "s.html: --out: is a folder" in error_of(capsys, cloud, *words, "--out", str(tmp_path / "s.json"))


def no_right(**_):
    raise PermissionError(13, "Permission denied")


def test_a_place_that_cannot_be_written_is_said_before_the_work(run, tmp_path, capsys, monkeypatch):
    (tmp_path / "file").write_text("")
    arguments = ["no/such/scan.ply", "--model", run, "--labels", "chair", "--out"]
    assert "file: --out: is a file" in error_of(capsys, *arguments, str(tmp_path / "file" / "r.json"))
    monkeypatch.setattr("tempfile.TemporaryFile", no_right)
    assert "--out: cannot be written (Permission denied)" in error_of(
        capsys, *arguments, str(tmp_path / "new" / "r.json")
    )


def test_a_disk_that_fills_up_is_one_line(cloud, run, tmp_path, capsys, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    error = error_of(capsys, cloud, "--model", run, "--labels", "chair", "--out", str(tmp_path / "r.json"))
    assert "r.json: --out: cannot be written (No space left on device)" in error


def test_columns_of_a_bare_file_can_be_stated(run, tmp_path, capsys):
    points = three_boxes_on_a_floor(0.024).astype(np.float32)
    np.column_stack([points, np.full_like(points, 128)]).astype(np.float32).tofile(tmp_path / "room.bin")
    arguments = [str(tmp_path / "room.bin"), "--model", run, "--labels", "chair,table", "--json"]
    arguments += ["--out", str(tmp_path / "r.json")]
    assert main(["recognize", *arguments, "--option", "columns=6"]) == 0
    assert len(json.loads(capsys.readouterr().out)["objects"]) == 3
    assert "'rows' is not an option of cloud" in error_of(capsys, *arguments, "--option", "rows=6")
    assert "twice" in error_of(capsys, *arguments, "--option", "up=y", "--up", "y")


@pytest.fixture
def street(tmp_path):
    """Frame 0 of a simulated street, and its boxes as a COCO file."""
    options = ["--option", "frames=2", "--option", "image_size=160,120"]
    scan = open_scan("procedural", "street", frames=2, image_size=(160, 120))
    boxes = tmp_path / "boxes.json"
    scan.save_detections(boxes)
    return ["street", "--source", "procedural", *options, "--frame", "0", "--detections"], boxes


def test_boxes_of_other_images_are_refused(street, run, tmp_path, capsys):
    arguments, boxes = street
    words = ["--model", run, "--labels", "chair", "--out", str(tmp_path / "r.json"), "--json"]
    assert main(["recognize", *arguments, str(boxes), *words]) == 0
    assert json.loads(capsys.readouterr().out)["objects"]
    document = json.loads(boxes.read_text())
    wanted = document["images"][0]["file_name"]
    for image in document["images"]:
        image["file_name"] = "elsewhere/" + image["file_name"].rpartition("/")[2].replace("0", "9")
    boxes.write_text(json.dumps(document))
    error = error_of(capsys, *arguments, str(boxes), *words)
    assert f"boxes.json: images.file_name: has no entry for {wanted}" in error
    assert "Fix: give detections made on this scan" in error


def test_an_image_without_boxes_is_no_error(street, run, tmp_path, capsys):
    arguments, boxes = street
    document = json.loads(boxes.read_text())
    first = document["images"][0]["id"]
    document["annotations"] = [a for a in document["annotations"] if a["image_id"] != first]
    boxes.write_text(json.dumps(document))
    words = ["--model", run, "--labels", "chair", "--out", str(tmp_path / "r.json"), "--json"]
    assert main(["recognize", *arguments, str(boxes), *words]) == 0
    assert json.loads(capsys.readouterr().out)["objects"] == []


def test_results_form_needs_the_file_with_the_images(street, run, cloud, tmp_path, capsys):
    arguments, boxes = street
    results = tmp_path / "results.json"
    results.write_text(json.dumps(json.loads(boxes.read_text())["annotations"]))
    words = ["--model", run, "--labels", "chair", "--out", str(tmp_path / "r.json"), "--json"]
    given = [str(results), "--detection-images", str(boxes), *words]
    assert main(["recognize", *arguments, *given]) == 0
    assert json.loads(capsys.readouterr().out)["objects"]
    assert "--detection-images: belongs to --detections" in error_of(
        capsys, cloud, *words, "--detection-images", str(boxes)
    )
    assert "has no image" in error_of(capsys, cloud, *words, "--detections", str(boxes))


@pytest.mark.parametrize("chosen", [["--frame", "0"], []], ids=["frame", "fused"])
def test_masks_of_any_class_find_objects_together_with_geometry(chosen, run, tmp_path, capsys):
    options = {"frames": 2, "image_size": (160, 120), "seed": 3}
    scan = open_scan("procedural", "tabletop", **options)
    masks = tmp_path / "masks.json"
    scan.save_detections(masks)
    document = json.loads(masks.read_text())
    document["categories"] = [{"id": 1, "name": "object"}]
    for annotation in document["annotations"]:
        annotation["category_id"] = 1
    masks.write_text(json.dumps(document))
    out = tmp_path / "r.json"
    given = ["--option", "frames=2", "--option", "image_size=160,120", "--option", "seed=3", *chosen]
    arguments = ["tabletop", "--source", "procedural", *given, "--model", run, "--labels", "chair", "--json"]
    assert main(["recognize", *arguments, "--out", str(out), "--masks", str(masks)]) == 0
    found = json.loads(capsys.readouterr().out)["objects"]
    large = [a for a in document["annotations"] if a["area"] > 100 and a["image_id"] == 1]
    assert sum(item["objectness"] > 0.9 for item in found) >= 0.7 * len(large) > 0
    assert f"geometry and the masks of {masks}" in out.with_suffix(".html").read_text()

    assert "--masks: is given beside --detections" in error_of(
        capsys, *arguments, "--out", str(out), "--masks", str(masks), "--detections", str(masks)
    )
    assert "--out: would be overwritten" in error_of(
        capsys, *arguments, "--out", str(masks), "--masks", str(masks)
    )


@pytest.mark.parametrize("voxel", ["0", "-1", "inf", "nan"])
def test_voxels_have_a_size(run, capsys, voxel):
    arguments = ["room", "--source", "procedural", "--model", run, "--labels", "chair", f"--voxel={voxel}"]
    assert "--voxel: is" in error_of(capsys, *arguments)


@pytest.mark.parametrize("name", ["room[a]", "room[", "[bold]room[bold]"])
def test_brackets_in_names_stay(run, tmp_path, capsys, name):
    scan = tmp_path / f"{name}.npy"
    np.save(scan, three_boxes_on_a_floor(0.05).astype(np.float32))
    out = tmp_path / f"{name}.json"
    assert main(["recognize", str(scan), "--model", run, "--labels", "chair", "--out", str(out)]) == 0
    assert f"{name}.ply" in capsys.readouterr().out.replace("\n", "")


def test_words_with_brackets_stay(tmp_path, capsys):
    words = ("[/chair]", "[bold]")
    bank = TextBank(words, tiny_bank().embeddings[:2], MODEL)
    save(tiny_model(), tmp_path / "run", text_bank=bank)
    np.save(tmp_path / "room.npy", three_boxes_on_a_floor(0.05).astype(np.float32))
    given = ["--model", str(tmp_path / "run"), "--labels", ",".join(words)]
    scan = str(tmp_path / "room.npy")
    assert main(["recognize", scan, *given, "--out", str(tmp_path / "r.json")]) == 0
    shown = capsys.readouterr().out
    assert any(word in shown for word in words)
    assert main(["classify", scan, *given]) == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in words)


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "cuda:x"])
def test_a_device_that_is_not_there_is_one_line(cloud, run, capsys, device):
    error = error_of(capsys, cloud, "--model", run, "--labels", "chair", "--device", device)
    assert "--device" in error


def test_interrupted_says_only_what_is_true(cloud, run, capsys, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("clip2.recognition.Recognizer.set_scan", stop)
    assert main(["recognize", cloud, "--model", run, "--labels", "chair"]) == 130
    assert capsys.readouterr().err.strip().endswith("clip2: interrupted")


def test_a_cloud_on_its_side_or_in_millimeters_is_said(run, tmp_path, caplog):
    points = three_boxes_on_a_floor(0.02).astype(np.float32)
    arguments = ["--model", run, "--labels", "chair", "--out", str(tmp_path / "r.json"), "--json"]
    for name, cloud, *said in (
        ("right", points),
        ("sideways", points[:, [1, 2, 0]], "y looks like up rather than z", "State the axis, like --up y"),
        ("large", 1000 * points[::20], "it looks like millimeters", "--option scale=0.001"),
    ):
        np.save(tmp_path / f"{name}.npy", cloud)
        caplog.clear()
        assert main(["recognize", str(tmp_path / f"{name}.npy"), *arguments]) == 0
        assert all(part in caplog.text for part in said)
        assert ("warning" in caplog.text) == bool(said)
