"""``mini``, the shipped teacher of the synthetic world."""
