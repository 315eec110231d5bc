"""Pictures of an object in the images that saw it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clip2.viewer.content import Content
from data_prep.report.crops import outline, outlined_crop

_MOST = 3


def crops_of(content: Content, number: int) -> list[NDArray[np.uint8]]:
    """Crops of one object, outlined, from the images that show most of its points.

    Args:
        content: with views.
        number: of the object.
    """
    points = content.in_frame(content.points[content.objects.indices[number]])
    found = [(view, *outline(view.camera, points)) for view in content.views]
    found.sort(key=lambda each: -each[2])
    return [outlined_crop(view.image, box) for view, box, _ in found[:_MOST] if box is not None]
