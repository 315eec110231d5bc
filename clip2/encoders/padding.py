"""What becomes of the rows that only fill a ragged batch."""

from __future__ import annotations

import torch


def leaves_out_padding(device: torch.device, training: bool) -> bool:
    """Whether padding is left out of the work, or worked on and left out of the result.

    In training it would count in batch statistics, and on a CPU it would cost time. In inference on a GPU, finding out
    how many rows are real would stall the queue, and work whose shape depends on it fits into no CUDA graph.
    """
    return training or device.type == "cpu"
