"""The examples run: each script from its own command line, the notebook cell by cell."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, **arguments: object) -> int:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main(**arguments)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_own_scan(capsys, tmp_path):
    import trimesh

    from data_prep import open_scan

    frame = open_scan("procedural", "room", frames=1, image_size=(160, 120))[0]
    trimesh.PointCloud(frame.world_points(), frame.colors).export(tmp_path / "room.ply")
    assert run("own_scan", scan=tmp_path / "room.ply") == 0
    assert "objects; see own_scan/result.html" in capsys.readouterr().out
    assert {path.name for path in (tmp_path / "own_scan").iterdir()} == {
        "result.json",
        "result.ply",
        "result.html",
    }


def test_robot_map(capsys, tmp_path):
    assert run("robot_map", frames=4) == 0
    out = capsys.readouterr().out
    assert "new [" in out
    assert "objects; see robot_map" in out
    assert (tmp_path / "robot_map" / "map.json").is_file()


def test_search_scans(capsys, tmp_path):
    assert run("search_scans", rooms=2, query="table") == 0
    out = capsys.readouterr().out
    assert out.count("new objects") == 2
    assert (tmp_path / "search_scans" / "hits.html").read_text().count('class="card"') == 5


@pytest.mark.slow
def test_training(capsys, tmp_path):
    assert run("training", frames=3, epochs=1) == 0
    assert len(capsys.readouterr().out.splitlines()[-5:]) == 5
    assert (tmp_path / "training" / "run").is_dir()


def test_the_cells_of_the_notebook_run(tmp_path):
    cells = json.loads((EXAMPLES / "tour.ipynb").read_text("utf-8"))["cells"]
    shared: dict[str, object] = {}
    for cell in cells:
        assert not cell.get("outputs"), "the notebook is kept without outputs"
        source = "".join(cell["source"]).replace("    %pip", "    raise; # %pip")
        if cell["cell_type"] == "code":
            exec(compile(source, "tour.ipynb", "exec"), shared)
    assert len(shared["objects"]) > 0  # type: ignore[arg-type]
    assert (tmp_path / "mugs.html").is_file()


@pytest.mark.slow
def test_the_notebook_runs_in_jupyter():
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(EXAMPLES / "tour.ipynb", as_version=4)
    # Pages are megabytes: on a busy machine they come seconds after the cell is done, and by default they are then left out.
    waits = {"timeout": 300, "iopub_timeout": 300, "raise_on_iopub_timeout": True}
    NotebookClient(notebook, kernel_name="python3", **waits).execute()
    shown = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert sum("text/html" in output.get("data", {}) for output in shown) == 2


@pytest.mark.slow
def test_two_replicas_under_ray_serve():
    pytest.importorskip("ray.serve", exc_type=ImportError)
    code = """
import ray, os
ray.init(num_cpus=2, include_dashboard=False, runtime_env={"env_vars": {"PYTHONPATH": os.environ["PYTHONPATH"]}})
from ray import serve
from examples.ray_serve import application
import clip2, numpy as np
serve.start(http_options={"port": 8765})
serve.run(application)
client = clip2.Client("http://127.0.0.1:8765")
cloud = np.random.default_rng(0).normal(size=(200, 3))
answers = np.concatenate([client.embed([cloud]) for _ in range(8)])
assert np.allclose(answers, clip2.load("mini-points").encode([cloud]).numpy(), atol=1e-5)
(deployment,) = serve.status().applications["default"].deployments.values()
print("replicas", deployment.replica_states["RUNNING"])
"""
    paths = [str(EXAMPLES.parent), os.environ.get("PYTHONPATH", "")]
    # By default Ray kills its proxy after three times 5 s, which importing it takes on a busy machine.
    patience = {f"RAY_SERVE_PROXY_{check}_CHECK_TIMEOUT_S": "120" for check in ("READY", "HEALTH")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **patience},
        capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert "replicas 2" in done.stdout, done.stderr[-3000:]
