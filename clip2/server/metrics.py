"""Prometheus metrics of a server."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"  # set by the parent of several workers; read by prometheus_client


class Metrics:
    """The metrics of one app; of all workers together if there are several.

    Attributes:
        requests: answered requests by route, method and status.
        seconds: time from the first byte of a request to the last of its answer, by route.
        refused: requests refused by a limit, by reason.
        working: requests that are worked on or wait for it.
        points: points received.
        objects: objects encoded.
        batch: objects per batch of the encoder.
        batch_requests: requests per batch of the encoder.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "clip2_requests", "Answered requests", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "clip2_request_seconds",
            "Seconds per request",
            ["route"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.refused = Counter(
            "clip2_refused", "Requests refused by a limit", ["reason"], registry=self.registry
        )
        self.working = Gauge(
            "clip2_requests_working",
            "Requests that are worked on or wait for it",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.points = Counter("clip2_points", "Points received", registry=self.registry)
        self.objects = Counter("clip2_objects", "Objects encoded", registry=self.registry)
        self.batch = Histogram(
            "clip2_batch_objects", "Objects per batch", buckets=_COUNTS, registry=self.registry
        )
        self.batch_requests = Histogram(
            "clip2_batch_requests", "Requests per batch", buckets=_COUNTS, registry=self.registry
        )

    def observe_batch(self, clouds: int, requests: int) -> None:
        """Count one batch of the encoder."""
        self.objects.inc(clouds)
        self.batch.observe(clouds)
        self.batch_requests.observe(requests)

    def text(self) -> bytes:
        """The metrics in Prometheus' text format."""
        if MULTIPROCESS not in os.environ:
            return generate_latest(self.registry)
        together = CollectorRegistry()
        multiprocess.MultiProcessCollector(together)
        return generate_latest(together)
