"""Every curl line of docs/server.md gets a good answer from a real server."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from support.live_server import running
from support.recognition_stand_ins import box_surface, ground

import clip2

PAGE = Path(__file__).parents[3] / "docs" / "server.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl")
def test_every_curl_line_is_answered(tmp_path):
    scene = np.concatenate([ground(1, 0.05), box_surface((0, 0, 0.3), (0.6, 0.6, 0.6), spacing=0.04)])
    trimesh.PointCloud(scene).export(tmp_path / "scan.ply")
    scene.astype("<f4").tofile(tmp_path / "scan.bin")
    np.savez(
        tmp_path / "mug.npz", points=box_surface((0, 0, 0), (0.1, 0.1, 0.1), spacing=0.01).astype(np.float32)
    )
    depth = np.full((480, 640), 3000, np.uint16)
    depth[150:261, 210:301] = 1500
    Image.fromarray(depth).save(tmp_path / "depth.png")
    Image.fromarray(np.full((480, 640, 3), 90, np.uint8)).save(tmp_path / "color.png")
    lines = re.findall(r"^curl .*$", PAGE.read_text("utf-8"), re.M)
    asked = set()
    with running(clip2.load("mini-points")) as live:
        for line in lines:
            command = shlex.split(line.replace("127.0.0.1:8000", f"127.0.0.1:{live.port}"))
            done = subprocess.run(
                [*command, "-sf"], cwd=tmp_path, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, line
            asked.add(re.sub(r"/maps/kitchen", "/maps/{name}", re.search(r":8000([^?\"]*)", line)[1]))
        routes = set(live.ask("/openapi.json").json["paths"])
    assert asked == routes - {"/v2", "/v2/health/live", "/v2/models/encode", "/v2/models/encode/ready"}
