"""Objects to send over ROS."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from clip2.recognition.instances import Instances3D

STAMP = 1_700_000_000_123_456_789  # more digits than a float64 of seconds has


def two_objects() -> Instances3D:
    turns = Rotation.from_euler("z", [[0.3], [-2.0]])
    return Instances3D(
        indices=(np.arange(3), np.arange(4)),
        boxes=np.array([[1, 2, 0.5, 2, 1, 1, 0.3], [-4, 0, 1, 0.3, 0.2, 0.4, -2.0]]),
        rotations=turns.as_matrix(),
        labels=("red chair", "unknown"),
        scores=np.array([0.75, 0], np.float32),
        embeddings=np.eye(2, 4, dtype=np.float32),
        track_ids=np.array([12, 7]),
        model="ViT-B-32/openai",
        vocabulary=("red chair", "table"),
    )
