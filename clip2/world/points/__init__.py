"""``mini-points``, the shipped point encoder, taught by ``mini`` on the synthetic world."""
