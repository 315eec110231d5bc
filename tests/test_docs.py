"""The documentation: links lead somewhere, commands parse, Python blocks compile and name what exists."""

from __future__ import annotations

import ast
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")])
FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
GENERATED = ("reference/cli.md", "reference/clip2.md", "reference/data_prep.md")


def blocks(page: Path, *languages: str) -> list[str]:
    return [code for language, code in FENCE.findall(page.read_text("utf-8")) if language in languages]


def anchors(page: Path) -> set[str]:
    text = FENCE.sub("", page.read_text("utf-8"))
    heads = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    text = FENCE.sub("", page.read_text("utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = page if not name else page.parent / name
        if name in GENERATED:
            continue
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors(file), f"{page.name} links to {target}"


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for code in blocks(page, "", "bash", "sh"):
            for line in code.replace("\\\n", " ").splitlines():
                line = re.sub(r"\s#.*$", "", line).strip()
                if line.startswith("clip2 "):
                    found.append((page.name, line))
    return found


@pytest.mark.parametrize("page, line", commands())
def test_commands_parse(page: str, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each documented command is accepted by the real parser; it is not run."""
    entry = importlib.import_module("clip2.cli.main")

    words = [word for word in shlex.split(line)[1:] if word != "…"]
    parsed: list[object] = []
    for command in entry.COMMANDS.values():
        module, _, name = command.target.partition(":")
        kind = getattr(importlib.import_module(module), name)
        monkeypatch.setattr(kind, "run", lambda self: parsed.append(self) or 0)
    assert entry.main(words) == 0, f"{page}: {line}"
    assert len(parsed) == (0 if "--help" in words else 1)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_blocks_compile_and_import(page: Path) -> None:
    for code in blocks(page, "python"):
        source = re.sub(r"^(>>> |\.\.\. )", "", code, flags=re.M) if ">>>" in code else code
        if ">>>" in code:  # the printed results are no code
            source = "\n".join(line[4:] for line in code.splitlines() if line.startswith((">>> ", "... ")))
        tree = ast.parse(source)
        for node in ast.walk(tree):
            if (
                isinstance(node, ast.ImportFrom)
                and node.module
                and node.module.startswith(("clip2", "data_prep"))
            ):
                module = importlib.import_module(node.module)
                for alias in node.names:
                    assert hasattr(module, alias.name), f"{page.name}: {node.module}.{alias.name}"
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "clip2"
            ):
                assert hasattr(importlib.import_module("clip2"), node.attr), f"{page.name}: clip2.{node.attr}"


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import trimesh

    from data_prep import open_scan

    frame = open_scan("procedural", "room", frames=1, image_size=(80, 60))[0]
    trimesh.PointCloud(frame.world_points(), frame.colors).export(tmp_path / "room.ply")
    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "README.md", "python")
    exec(compile(code, "README.md", "exec"), {})
    assert (tmp_path / "room.json").is_file()


def test_how_to_of_one_rgbd_frame_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A wall 3 m away and a 40 cm box 1.5 m away, seen in the page's own 2D box."""
    import numpy as np
    from PIL import Image

    depth = np.full((480, 640), 3000, np.uint16)
    depth[150:261, 210:301] = 1500
    color = np.full((480, 640, 3), 200, np.uint8)
    color[150:261, 210:301] = (180, 30, 30)
    Image.fromarray(depth).save(tmp_path / "depth.png")
    Image.fromarray(color).save(tmp_path / "color.png")
    monkeypatch.chdir(tmp_path)
    lift, name = blocks(ROOT / "docs/one-rgbd-frame.md", "python")
    shared: dict[str, object] = {}
    exec(compile(lift, "one-rgbd-frame.md", "exec"), shared)
    assert capsys.readouterr().out.startswith("mug (")
    (cloud,) = shared["result"].objects  # type: ignore[attr-defined]
    assert np.allclose(cloud.points[:, 2], 1.5)
    exec(compile(name, "one-rgbd-frame.md", "exec"), shared)


def test_layout_example_is_a_sound_scan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from data_prep import open_scan

    monkeypatch.chdir(tmp_path)
    (code,) = blocks(ROOT / "docs/layout.md", "python")
    exec(compile(code, "layout.md", "exec"), {})
    assert len(open_scan("layout", tmp_path / "drive")) == 3


def test_reference_is_generated_and_the_site_builds(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs")
    for command in (
        [sys.executable, "docs/build.py"],
        [
            sys.executable,
            "-m",
            "mkdocs",
            "build",
            "--quiet",
            "--strict",
            "--site-dir",
            str(tmp_path / "site"),
        ],
    ):
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    page = (tmp_path / "site" / "reference" / "clip2" / "index.html").read_text("utf-8")
    assert "Recognizer.set_scan" in page
