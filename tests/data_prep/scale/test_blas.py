"""Threads of numpy's matrix products."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from data_prep.scale.blas import single_threaded_blas


def threads() -> set[int]:
    """Of numpy's and scipy's libraries; other tests may have loaded further ones."""
    own = [
        library
        for library in threadpool_info()
        if {"numpy.libs", "scipy.libs"} & {*Path(library["filepath"]).parts}
    ]
    return {library["num_threads"] for library in own if library["user_api"] == "blas"}


@pytest.fixture(autouse=True)
def _two_threads() -> Iterator[None]:
    with single_threaded_blas():
        pass  # loads the libraries
    with threadpool_limits(2, "blas"):
        yield


def test_one_thread_inside_and_as_before_outside() -> None:
    assert threads() == {2}
    with single_threaded_blas():
        assert threads() == {1}
        with single_threaded_blas():
            assert threads() == {1}
        assert threads() == {1}
    assert threads() == {2}


def test_an_error_inside_restores_the_number() -> None:
    with pytest.raises(ZeroDivisionError), single_threaded_blas():
        raise ZeroDivisionError
    assert threads() == {2}


def test_several_threads_leave_the_number_as_they_found_it() -> None:
    entered, leave = Event(), Event()

    @single_threaded_blas()
    def work() -> None:
        entered.set()
        leave.wait()

    other = Thread(target=work)
    with single_threaded_blas():
        other.start()
        entered.wait()
    leave.set()
    other.join()
    assert threads() == {2}
