"""Own scan to named objects: the commands from check to recognize, planned, run, continued and reported as one."""
