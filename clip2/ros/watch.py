"""Watch over the inputs of a live node: names which of topic, type, QoS, tf and camera info is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OK, WARN, ERROR = 0, 1, 2  # diagnostic_msgs/DiagnosticStatus


@dataclass
class Input:
    """One subscribed topic, as the node has seen it.

    Attributes:
        topic, type: name and message type.
        messages: how many have come.
        last: seconds when the last one came; None: none has.
        offered: type → number of publishers of the topic, whatever they publish.
        incompatible: QoS policy that a publisher offers and the node cannot take; None: none is known.
    """

    topic: str
    type: str
    messages: int = 0
    last: float | None = None
    offered: Mapping[str, int] = field(default_factory=dict)
    incompatible: str | None = None

    def arrived(self, now: float) -> None:
        """Note a message."""
        self.messages, self.last = self.messages + 1, now

    def problem(self, since: float, others: Sequence[str]) -> str | None:
        """Why no message has come since ``since`` seconds; None: one has.

        Args:
            since: earliest time that counts.
            others: topics of the right type that there are.
        """
        if self.last is not None and self.last >= since:
            return None
        wrong = [name for name in self.offered if name != self.type]
        if not self.offered:
            there = f"; topics of this type: {', '.join(others)}" if others else ""
            return f"topic: nothing publishes {self.topic} ({self.type}){there}. Fix: start the driver, or set the topic parameter"
        if self.type not in self.offered:
            return f"type: {self.topic} carries {', '.join(wrong)}, not {self.type}. Fix: set the topic parameter to another topic"
        if self.incompatible is not None:
            return f"QoS: the publisher of {self.topic} does not offer the {self.incompatible} that is asked for. Fix: publish it reliable or best effort, volatile"
        if self.last is not None:
            return f"topic: {self.topic} went silent after {self.messages} messages. Fix: look at the driver"
        return f"topic: {self.topic} has a publisher but no message came. Fix: look at the driver, ROS_DOMAIN_ID and the network"


@dataclass
class Watch:
    """State of all inputs and of tf.

    Attributes:
        inputs: subscribed topics.
        started: seconds when the node became active.
        patience: seconds to wait before anything is called missing.
        tf_error: the last failed lookup, if none has succeeded since.
        tf_failed: seconds of the first of the failed lookups.
        refused: the last frame that could not be used.
    """

    inputs: dict[str, Input]
    started: float
    patience: float = 5.0
    tf_error: str | None = None
    tf_failed: float | None = None
    refused: str | None = None

    def tf(self, now: float, error: str | None) -> None:
        """Note a tf lookup: None for success, or what tf2 said."""
        if error is None:
            self.tf_error = self.tf_failed = None
        else:
            self.tf_error, self.tf_failed = error, now if self.tf_failed is None else self.tf_failed

    def problems(self, now: float, topics: Mapping[str, Sequence[str]] | None = None) -> dict[str, str]:
        """What is missing, by input; empty during the first ``patience`` seconds and when all is well.

        Args:
            now: seconds.
            topics: all topics of the ROS graph with their types.

        >>> watch = Watch({"points": Input("/points", "sensor_msgs/msg/PointCloud2")}, started=0.0)
        >>> watch.problems(1.0), list(watch.problems(6.0))
        ({}, ['points'])
        """
        if now < self.started + self.patience:
            return {}
        found = {}
        for name, each in self.inputs.items():
            others = sorted(
                t for t, types in (topics or {}).items() if each.type in types and t != each.topic
            )
            if problem := each.problem(now - self.patience, others):
                found[name] = problem
        if self.tf_failed is not None and now - self.tf_failed >= self.patience:
            found["tf"] = f"tf: {self.tf_error}. Fix: publish this transform, or set world_frame"
        return found

    def diagnostics(
        self,
        now: float,
        header: Mapping[str, Any],
        counts: Mapping[str, int],
        topics: Mapping[str, Sequence[str]] | None = None,
    ) -> dict[str, Any]:
        """Plain dicts in the layout of ``diagnostic_msgs/DiagnosticArray``.

        Args:
            now: seconds.
            header: of the message.
            counts: of the pipeline, shown as they are.
            topics: as of :meth:`problems`.
        """
        problems = self.problems(now, topics)
        waiting = now < self.started + self.patience and any(
            each.last is None for each in self.inputs.values()
        )
        status = []
        for name in (*self.inputs, "tf"):
            level = ERROR if name in problems else WARN if waiting else OK
            text = problems.get(name, "waiting" if waiting else "ok")
            status.append(
                {"level": bytes([level]), "name": f"clip2: {name}", "message": text, "hardware_id": ""}
            )
        values = [{"key": name, "value": str(number)} for name, number in counts.items()]
        refused = {"level": bytes([WARN if self.refused else OK]), "message": self.refused or "ok"}
        status.append({**refused, "name": "clip2: map", "hardware_id": "", "values": values})
        return {"header": dict(header), "status": status}
