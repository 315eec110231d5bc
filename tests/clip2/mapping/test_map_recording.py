"""A map as a recording for rerun, read back by its own reader."""

import numpy as np
import pytest

from clip2.cli.main import main
from clip2.mapping import ObjectMap
from data_prep import open_scan
from data_prep.scans.layout.save import save_layout
from tests.support.viewer_stand_ins import small_model

pytest.importorskip("rerun")


def test_map_writes_each_object_over_the_frames(tmp_path):
    from rerun.chunk import RrdReader

    save_layout(open_scan("procedural", "room", frames=4, image_size=(160, 120)), tmp_path / "room")
    out, recording = tmp_path / "map", tmp_path / "map.rrd"
    options = ["--out", str(out), "--rerun", str(recording), "--confirm", "2"]
    assert main(["map", "layout", str(tmp_path / "room"), *options]) == 0
    object_map = ObjectMap.load(out, small_model())
    rows, points, (origin,) = {}, None, np.zeros((1, 3))
    for chunk in RrdReader(recording).stream():
        for row in chunk.to_record_batch().to_pylist():
            if chunk.entity_path == "/world/origin":
                (origin,) = np.reshape(row["meters"], (1, 3))
            if chunk.entity_path == "/world/points":
                points = np.array(row["Points3D:positions"])
            if row.get("Boxes3D:centers"):
                rows.setdefault(int(chunk.entity_path.rsplit("/", 1)[1]), []).append(row)
    confirmed = object_map.query()
    assert set(confirmed.track_ids.tolist()) <= set(rows)
    assert len(rows) > 3
    for i, id in enumerate(confirmed.track_ids.tolist()):
        past = [entry for entry in object_map.objects[id].history if entry[2] == "confirmed"]
        assert [row["frame"] for row in rows[id]] == [frame for frame, _, _ in past]
        assert rows[id][-1]["label"] == [confirmed.labels[i]]
        np.testing.assert_allclose(rows[id][-1]["Boxes3D:centers"][0] + origin, past[-1][1][:3], atol=1e-4)
    clouds = object_map.query(states=("confirmed", "lost"), points=True).points
    np.testing.assert_allclose(points + origin, clouds, atol=1e-4)
