"""``clip2 serve`` as a process: starts, answers, stops gracefully."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.recognition_stand_ins import box_surface, tiny_bank, tiny_model

from clip2 import Client
from clip2.checkpoint import save
from clip2.cli import main
from clip2.cli.serve import is_loopback

SCENE = np.concatenate([box_surface((2 * i, 0, 0), (1, 1, 1), spacing=0.04) for i in range(6)])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    save(tiny_model(), folder, text_bank=tiny_bank())
    return str(folder)


@contextmanager
def serving(run: str, log: Path, *options: str, **variables: str) -> Iterator[tuple[subprocess.Popen, str]]:
    """The process and its address."""
    command = [sys.executable, "-m", "clip2", "serve", "--model", run, "--port", "0", *options]
    with log.open("w") as errors:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, env={**os.environ, **variables}
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://\S+?:\d+", line)
            assert found is not None, line + log.read_text()
            yield process, found[0]
        finally:
            process.kill()
            process.wait()


def get(url: str) -> str:
    request = urllib.request.Request(url, headers={"Authorization": "Bearer t"})
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def test_a_request_that_began_is_finished_after_sigterm(run, tmp_path):
    with serving(run, tmp_path / "log") as (process, url):
        client = Client(url)
        expected = len(client.recognize(SCENE, "chair,box"))
        counts: list[int] = []
        threads = [
            threading.Thread(target=lambda: counts.append(len(client.recognize(SCENE, "chair,box"))))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        while "clip2_requests_working 4.0" not in get(f"{url}/metrics"):
            time.sleep(0.002)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert process.wait(30) == 0
    assert counts == [expected] * 4
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines() if line.startswith("{")]
    recognized = [line for line in lines if line.get("path") == "/v1/recognize"]
    assert [line["status"] for line in recognized] == [200] * 5
    assert {"time", "level", "request_id", "seconds", "points", "client"} <= set(recognized[0])
    assert len({line["request_id"] for line in recognized}) == 5


@pytest.mark.slow
def test_workers_share_the_port_and_their_metrics(run, tmp_path):
    with serving(run, tmp_path / "log", "--workers", "2", CLIP2_TOKEN="t") as (process, url):
        client = Client(url, token="t")
        for _ in range(20):
            client.embed([SCENE])
        assert re.search(r"clip2_requests_total{.*embed.*} 20\.0", get(f"{url}/metrics"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_port_in_use_is_one_line(run, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert main(["serve", "--model", run, "--port", port]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(f"clip2: 127.0.0.1:{port}: --port: cannot be used")


@pytest.mark.parametrize(
    "options, message",
    [
        (["--workers", "0"], "--workers: is 0"),
        (["--port", "70000"], "--port: is 70000"),
        (["--token", ""], "--token: is empty"),
        (["--seconds", "-1"], "seconds: is -1"),
        (["--labels", "chair,chair"], "twice"),
        (["--host", "no.such.host.example"], "cannot be used"),
        (["--model", "nowhere"], "nowhere"),
    ],
)
def test_bad_options_are_one_line(run, capsys, options, message):
    assert main(["serve", "--model", run, *options]) == 2
    assert message in capsys.readouterr().err


def test_addresses_that_only_this_machine_reaches():
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "10.0.0.1", "::")] == [
        True, True, True, False, False, False
    ]  # fmt: skip
