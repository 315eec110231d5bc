"""A recording for rerun, read back by its own reader."""

import numpy as np
import pytest

from clip2.cli.main import main
from clip2.recognition import Instances3D
from data_prep import open_scan
from data_prep.scans.layout.save import save_layout

pytest.importorskip("rerun")


def test_recognize_writes_what_rerun_reads(tmp_path):
    from rerun.chunk import RrdReader

    scan = open_scan("procedural", "room", frames=1, image_size=(160, 120))
    save_layout(scan, tmp_path / "room")
    out, recording = tmp_path / "r.json", tmp_path / "r.rrd"
    arguments = ["recognize", str(tmp_path / "room"), "--source", "layout", "--labels", "table, fan"]
    assert main([*arguments, "--out", str(out), "--rerun", str(recording)]) == 0
    columns = {}
    for chunk in RrdReader(recording).stream():
        batch = chunk.to_record_batch()
        for name in batch.schema.names:
            columns[chunk.entity_path, name] = batch.column(name)[0].as_py()
    result = Instances3D.from_json(out)
    assert columns["/world/objects", "label"] == list(result.labels)
    np.testing.assert_allclose(columns["/world/objects", "score"], result.scores)
    (origin,) = np.reshape(columns["/world/origin", "meters"], (1, 3))
    centers = np.array(columns["/world/objects", "Boxes3D:centers"]) + origin
    np.testing.assert_allclose(centers, result.boxes[:, :3], atol=1e-5)
    points = np.array(columns["/world/points", "Points3D:positions"]) + origin
    np.testing.assert_allclose(points, scan[0].world_points(), atol=1e-5)
    assert ("/world/cameras/0/image", "EncodedImage:blob") in columns
