"""No file is a program: what would run on loading is refused, whatever it is put in place of."""

from __future__ import annotations

import contextlib
import io
import pickle
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from siege.targets import HEAVY, TARGETS

from data_prep.errors import InputError

NAMES = [pytest.param(name, marks=pytest.mark.slow) if name in HEAVY else name for name in TARGETS]


class Program:
    """Leaves a file where a loader runs it."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple:
        return Path.touch, (self.trace,)


def programs(trace: Path) -> dict[str, bytes]:
    saved, array, tar = io.BytesIO(), io.BytesIO(), io.BytesIO()
    torch.save({"state_dict": Program(trace)}, saved)
    np.save(array, np.array([Program(trace)], dtype=object), allow_pickle=True)
    with tarfile.open(fileobj=tar, mode="w") as file:
        script = f"import pathlib; pathlib.Path({str(trace)!r}).touch()".encode()
        info = tarfile.TarInfo("__init__.py")
        info.size = len(script)
        file.addfile(info, io.BytesIO(script))
    return {
        "pickle": pickle.dumps(Program(trace)),
        "checkpoint": saved.getvalue(),
        "array of objects": array.getvalue(),
        "YAML tag": f"!!python/object/apply:os.system ['touch {trace}']".encode(),
        "tar with a script": tar.getvalue(),
    }


def test_the_programs_do_run_where_they_are_trusted(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    pickle.loads(programs(trace)["pickle"])  # noqa: S301
    assert trace.exists()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore")
def test_nothing_in_a_file_is_run(tmp_path: Path, name: str) -> None:
    target, trace = TARGETS[name], tmp_path / "ran"
    sound = tmp_path / "sound"
    sound.mkdir()
    target.make(sound)
    files = {path.suffix: path.relative_to(sound) for path in sorted(sound.rglob("*")) if path.is_file()}
    for file in files.values():  # one of each kind
        for content in programs(trace).values():
            copy = shutil.copytree(sound, tmp_path / "copy")
            (copy / file).write_bytes(content)
            with contextlib.suppress(InputError):
                target.read(copy)
            assert not trace.exists(), file
            shutil.rmtree(copy)
