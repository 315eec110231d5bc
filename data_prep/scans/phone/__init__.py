"""Phone scans: Record3D, Polycam."""
