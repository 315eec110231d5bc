"""``mini-points``: the point encoder that ships with the package, taught by ``mini`` on the embedded world."""
