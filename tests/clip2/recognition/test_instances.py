import json

import jsonschema
import numpy as np
import open3d as o3d
import pytest

from clip2.recognition import Instances3D
from data_prep import InputError

NUMBER, TRIPLE = (
    {"type": "number"},
    {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3},
)
# What docs/recognition.md promises to readers of the file.
SCHEMA = {
    "type": "object",
    "required": ["format", "version", "frame", "timestamp", "model", "vocabulary", "objects"],
    "additionalProperties": False,
    "properties": {
        "format": {"const": "clip2-instances"},
        "version": {"const": 1},
        "frame": {"type": "object", "required": ["id", "axes", "unit"], "properties": {"unit": {"const": "meter"}}},
        "timestamp": {"type": ["number", "null"]},
        "model": {"type": "string"},
        "vocabulary": {"type": "array", "items": {"type": "string"}},
        "objects": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["id", "label", "score", "objectness", "center", "size", "yaw", "rotation", "visible", "num_points", "indices", "embedding"],
                "properties": {
                    "id": {"type": "integer"},
                    "label": {"type": "string"},
                    "score": {"type": "number", "minimum": 0, "maximum": 1},
                    "objectness": {"type": "number", "minimum": 0, "maximum": 1},
                    "visible": {"type": "object", "required": ["center", "size", "yaw"]},
                    "center": TRIPLE,
                    "size": TRIPLE,
                    "yaw": NUMBER,
                    "rotation": {"type": "array", "items": TRIPLE, "minItems": 3, "maxItems": 3},
                    "num_points": {"type": "integer"},
                    "indices": {"type": "array", "items": {"type": "integer"}},
                    "embedding": {"type": "array", "items": NUMBER},
                },
            },
        },
    },
}  # fmt: skip


@pytest.fixture
def three():
    rng = np.random.default_rng(0)
    embeddings = rng.normal(size=(3, 4)).astype(np.float32)
    yaw = np.array([0.0, np.pi / 2, -0.3])
    rotations = np.stack([[[np.cos(t), -np.sin(t), 0], [np.sin(t), np.cos(t), 0], [0, 0, 1]] for t in yaw])
    boxes = np.array(
        [[0, 0, 0.5, 1, 1, 1, 0], [5, 0, 1, 2, 1, 2, np.pi / 2], [0, 5, 0.1, 0.3, 0.2, 0.2, -0.3]]
    )
    return Instances3D(
        indices=(np.array([0, 1, 2]), np.array([4, 5]), np.array([7])),
        boxes=boxes,
        rotations=rotations,
        labels=("chair", "table", "chair"),
        scores=np.float32([0.9, 0.5, 0.1]),
        embeddings=embeddings,
        points=rng.normal(size=(9, 3)),
        colors=rng.integers(0, 255, (9, 3)).astype(np.uint8),
        frame_id="000007",
        timestamp=12.5,
        model="ViT-B-32/openai",
        vocabulary=("chair", "table"),
    )


def test_a_slice_takes_every_field_along(three):
    sure = three[three.scores >= 0.5]
    assert sure.labels == ("chair", "table")
    assert [i.tolist() for i in sure.indices] == [[0, 1, 2], [4, 5]]
    assert (sure.boxes == three.boxes[:2]).all()
    assert (sure.rotations == three.rotations[:2]).all()
    assert (sure.embeddings == three.embeddings[:2]).all()
    assert len(three[[2, 0]]) == 2
    assert three[[2, 0]].scores.tolist() == pytest.approx([0.1, 0.9])
    assert three[1].labels == ("table",)
    assert three[-1:].labels == ("chair",)
    assert len(three[np.zeros(3, bool)]) == 0
    assert [one.labels[0] for one in three] == ["chair", "table", "chair"]


def test_json_is_what_the_schema_says_and_reads_back_without_loss(three, tmp_path):
    three.to_json(tmp_path / "result.json")
    document = json.loads((tmp_path / "result.json").read_text())
    jsonschema.validate(document, SCHEMA)
    for again in (
        Instances3D.from_json(tmp_path / "result.json"),
        Instances3D.from_json(three.to_json()),
    ):
        assert again.to_json() == three.to_json()
        assert (again.embeddings == three.embeddings).all()
        assert (again.boxes == three.boxes).all()
        assert again.points is None


def test_no_objects_is_a_result_too(three, tmp_path):
    none = three[[]]
    jsonschema.validate(none.to_json(), SCHEMA)
    assert len(Instances3D.from_json(none.to_json())) == 0
    none.to_ply(tmp_path / "none.ply")
    none.to_html(tmp_path / "none.html")
    assert none.to_ros()["detections"] == []


def test_ply_opens_elsewhere(three, tmp_path):
    cloud = o3d.t.io.read_point_cloud(str(three.to_ply(tmp_path / "result.ply")))
    assert cloud.point.positions.numpy() == pytest.approx(three.points)
    assert cloud.point["instance"].numpy().ravel().tolist() == [0, 0, 0, -1, 1, 1, -1, 2, -1]
    colors = [tuple(c) for c in cloud.point.colors.numpy()]
    assert colors[3] == colors[6] == colors[8] == (110, 110, 110)
    assert colors[0] == colors[1] == colors[2]
    assert len({colors[0], colors[4], colors[7], colors[3]}) == 4


def test_the_smaller_of_two_overlapping_objects_owns_the_points(three):
    from dataclasses import replace

    nested = replace(three, indices=(np.arange(9), np.array([4, 5]), np.array([5])))
    assert nested.owners().tolist() == [0, 0, 0, 0, 1, 2, 0, 0, 0]


def test_ros_message_has_the_layout_of_vision_msgs(three):
    message = three.to_ros(frame_id="odom")
    assert message["header"] == {"stamp": {"sec": 12, "nanosec": 500_000_000}, "frame_id": "odom"}
    table = message["detections"][1]
    assert table["header"] == message["header"]
    assert table["id"] == "1"
    (result,) = table["results"]
    assert result["hypothesis"] == {"class_id": "table", "score": 0.5}
    assert len(result["pose"]["covariance"]) == 36
    assert table["bbox"]["size"] == {"x": 2, "y": 1, "z": 2}
    center = table["bbox"]["center"]
    assert center["position"] == {"x": 5, "y": 0, "z": 1}
    # A quarter turn about z.
    assert center["orientation"] == pytest.approx({"x": 0, "y": 0, "z": 0.5**0.5, "w": 0.5**0.5})
    json.dumps(message)


def test_html_is_one_file_that_names_everything(three, tmp_path):
    html = three.to_html(tmp_path / "result.html", title="<b>scan</b>").read_text()
    assert "&lt;b&gt;scan&lt;/b&gt;" in html
    assert "<b>scan" not in html
    assert "chair 0.90" in html
    assert "http://" not in html
    assert "https://" not in html


def test_points_are_needed_to_draw(three, tmp_path):
    loaded = Instances3D.from_json(three.to_json())
    with pytest.raises(InputError, match="to_ply needs the scan's points"):
        loaded.to_ply(tmp_path / "x.ply")
    with pytest.raises(InputError, match="to_html needs the scan's points"):
        loaded.to_html(tmp_path / "x.html")


@pytest.mark.parametrize(
    "text, message",
    [("{", "not a clip2-instances file"), ('{"a": 1}', "not a clip2-instances file"), ("[]", "not a clip2-instances file"),
     ('{"format": "clip2-instances", "version": 2}', "version: is 2, this release reads 1")],
)  # fmt: skip
def test_other_json_is_refused(tmp_path, text, message):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(InputError, match=message):
        Instances3D.from_json(tmp_path / "x.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no\.json: cannot be read"):
        Instances3D.from_json(tmp_path / "no.json")


def test_fields_must_fit_together(three):
    from dataclasses import replace

    for field, value in (("boxes", np.zeros((2, 7))), ("scores", np.zeros(2)), ("labels", ("a",))):
        with pytest.raises(InputError, match=f"instances.{field}"):
            replace(three, **{field: value})
