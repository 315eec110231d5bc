"""Throughput, latency and memory of ``clip2 serve`` under load.

    python -m benchmarks.server                                   # small and quick
    python -m benchmarks.server --requests 2000 --soak 20000      # as in docs/server.md

Starts the real command with ``mini-points`` in a process of its own, and asks it from this one with 1, 8, 32 and 100 clients that
wait for each answer before they ask again: to classify one object, and to recognize a small synthetic room. Then a soak: many
requests, among them bad, huge and aborted ones and clients that send nothing, while the memory of the server is watched.
"""

from __future__ import annotations

import http.client
import io
import itertools
import json as json_format
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks.tables import emit
from data_prep.scans import open_scan

CLIENTS = (1, 8, 32, 100)
_MEGABYTE = 1 << 20


def main(requests: int = 300, soak: int = 1000, workers: int = 1, json: bool = False) -> int:
    """Measure and print.

    Args:
        requests: per number of clients to classify; a tenth of it to recognize.
        soak: requests of the soak.
        workers: of the server.
        json: print one JSON object.
    """
    with serving(workers) as (process, port):
        server = Target(port)
        load = [
            {
                "endpoint": path.partition("?")[0],
                "clients": clients,
                **server.load(path, body, clients, count),
            }
            for path, body, count in (
                ("/v1/classify?labels=chair,table,lamp", small_object(), requests),
                ("/v1/recognize?labels=chair,table,lamp&brief=true", room(), max(requests // 10, 10)),
            )
            for clients in CLIENTS
        ]
        memory = server.soak(soak, process.pid)
    result = {"cores": os.cpu_count(), "workers": workers, "load": load, "soak": memory}
    return emit(result, json, show)


@contextmanager
def serving(workers: int) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """The server's process and port."""
    command = [sys.executable, "-m", "clip2", "serve", "--port", "0", "--workers", str(workers)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r":(\d+),", process.stdout.readline())
        assert found is not None, "the server did not start"
        yield process, int(found[1])
        process.terminate()
        process.wait(60)
    finally:
        process.kill()


def small_object() -> bytes:
    """A box of 1,000 points as npz."""
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (1000, 3)).astype(np.float32)
    points[np.arange(1000), np.arange(1000) % 3] = 0.5
    return _npz(points)


def room() -> bytes:
    """A synthetic room seen by one RGB-D camera, 19,200 points, as npz."""
    frame = open_scan("procedural", "room", frames=1, image_size=(160, 120))[0]
    return _npz(frame.world_points().astype(np.float32))


def _npz(points: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, points=points)
    return stream.getvalue()


class Target:
    """The server as its clients see it."""

    def __init__(self, port: int) -> None:
        self.port = port

    def connect(self) -> http.client.HTTPConnection:
        """A connection that is kept for many requests."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=300)

    def load(self, path: str, body: bytes, clients: int, count: int) -> dict[str, Any]:
        """Requests per second and latencies in milliseconds of ``clients`` that ask ``count`` times together."""
        count = max(count, 2 * clients)
        numbers, seconds, statuses = itertools.count(), list[float](), Counter[int]()
        lock = threading.Lock()

        def ask() -> None:
            connection = self.connect()
            while next(numbers) < count:
                began = time.perf_counter()
                connection.request("POST", path, body)
                answer = connection.getresponse()
                answer.read()
                with lock:
                    seconds.append(time.perf_counter() - began)
                    statuses[answer.status] += 1
            connection.close()

        began = time.perf_counter()
        _together([ask] * clients)
        whole = time.perf_counter() - began
        p50, p95, p99 = (round(1e3 * float(q), 1) for q in np.percentile(seconds, [50, 95, 99]))
        return {
            "requests": len(seconds),
            "per_second": round(len(seconds) / whole, 1),
            "p50_ms": p50,
            "p95_ms": p95,
            "p99_ms": p99,
            "statuses": dict(statuses),
        }

    def soak(self, count: int, pid: int) -> dict[str, Any]:
        """Memory after each tenth of ``count`` requests, of which one in ten is bad."""
        good, scan = small_object(), room()
        silent = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(20)]
        statuses, memory = Counter[int](), [_resident_mb(pid)]
        numbers = itertools.count()

        def ask(until: int) -> None:
            connection = self.connect()
            while (number := next(numbers)) < until:
                if number % 100 == 50:
                    self._abort(good)
                    continue
                bodies = {0: ("/v1/recognize?labels=chair&brief=true", scan), 10: ("/v1/embed", b"rubbish")}
                path, body = bodies.get(number % 100, ("/v1/classify?labels=chair,table", good))
                if number % 1000 == 20:
                    body = bytes(70 * _MEGABYTE)
                try:
                    connection.request("POST", path, body)
                    answer = connection.getresponse()
                    answer.read()
                except (BrokenPipeError, ConnectionResetError):  # refused while it was sent
                    connection.close()
                    statuses[413] += 1
                else:
                    statuses[answer.status] += 1
            connection.close()

        for tenth in range(1, 11):
            numbers = itertools.count((tenth - 1) * count // 10)
            _together([lambda until=tenth * count // 10: ask(until)] * 16)
            memory.append(_resident_mb(pid))
        for connection in silent:
            connection.close()
        return {"requests": count, "statuses": dict(sorted(statuses.items())), "resident_mb": memory}

    def _abort(self, body: bytes) -> None:
        with socket.create_connection(("127.0.0.1", self.port)) as connection:
            head = f"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body[: len(body) // 2])


def _together(jobs: list[Any]) -> None:
    threads = [threading.Thread(target=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _resident_mb(pid: int) -> float:
    """Resident memory of a process, megabytes."""
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return round(int(found[1]) / 1024, 1)


def show(result: dict[str, Any]) -> None:
    """Print two tables."""
    print(f"{result['cores']} cores, {result['workers']} workers")
    print(f"{'endpoint':<16}{'clients':>8}{'per s':>9}{'p50 ms':>9}{'p95 ms':>9}{'p99 ms':>9}  statuses")
    for row in result["load"]:
        numbers = (
            f"{row['clients']:>8}{row['per_second']:>9}{row['p50_ms']:>9}{row['p95_ms']:>9}{row['p99_ms']:>9}"
        )
        print(f"{row['endpoint']:<16}{numbers}  {json_format.dumps(row['statuses'])}")
    soak = result["soak"]
    print(f"soak of {soak['requests']} requests: {json_format.dumps(soak['statuses'])}")
    print("resident MB after each tenth:", *soak["resident_mb"])


if __name__ == "__main__":
    sys.exit(tyro.cli(main, prog="python -m benchmarks.server", description=__doc__))
