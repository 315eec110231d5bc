from __future__ import annotations

import threading
from pathlib import Path

import pytest

from data_prep.errors import InputError
from data_prep.storage.lock import FolderLock


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    (tmp_path / ".lock").write_text('{"pid": 1, "host": "elsewhere"}')  # pid 1 lives, and holds nothing
    FolderLock(tmp_path).release()
    assert not (tmp_path / ".lock").exists()


@pytest.mark.parametrize("text", ["", '{"pi', "[1]"])
def test_a_lock_that_does_not_say_whose_it_is_is_respected(tmp_path: Path, text: str) -> None:
    lock = FolderLock(tmp_path)
    (tmp_path / ".lock").write_text(text)
    with pytest.raises(
        InputError, match=r"by another process\. Fix: wait for it, or stop it and run the same"
    ):
        FolderLock(tmp_path)
    lock.release()


def test_a_lock_is_exclusive_until_released(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    with pytest.raises(InputError, match="is being written"):
        FolderLock(tmp_path)
    lock.release()
    FolderLock(tmp_path).release()


def test_a_patient_writer_gets_the_lock_when_it_is_released(tmp_path: Path) -> None:
    first, order = FolderLock(tmp_path), []

    def second() -> None:
        with FolderLock(tmp_path, wait=True):
            order.append("second")

    waiting = threading.Thread(target=second)
    waiting.start()
    order.append("first")
    first.release()
    waiting.join(timeout=30)
    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []
