from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from data_prep.errors import InputError
from data_prep.storage.files import UnwritableError, file_sha256, require_writable, write_atomically


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_atomically(path, lambda scratch: scratch.write_text("whole"))

    def half(scratch: Path) -> None:
        scratch.write_text("ha")
        raise OSError(28, "No space left on device")

    with pytest.raises(UnwritableError, match=r"a.txt: cannot be written \(No space left on device\)"):
        write_atomically(path, half)
    assert path.read_text() == "whole"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_sha256_of_a_known_text(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # FIPS 180-2, appendix B.1
    assert file_sha256(tmp_path / "abc").startswith("ba7816bf8f01cfea414140de5dae2223")


def test_a_folder_to_be_made_is_not_made_yet(tmp_path: Path) -> None:
    require_writable(tmp_path / "a" / "b")
    require_writable(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--out: is a file"):
        require_writable(tmp_path / "file", "--out")
    with pytest.raises(InputError, match=r"below: .*file is a file"):
        require_writable(tmp_path / "file" / "below")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        require_writable(tmp_path / "run")
    tmp_path.chmod(0o700)


@pytest.mark.skipif(sys.platform != "linux", reason="a folder where not even root can write")
def test_a_folder_of_the_system() -> None:
    with pytest.raises(InputError, match=r"/proc/run: --out: cannot be written"):
        require_writable(Path("/proc/run"), "--out")
