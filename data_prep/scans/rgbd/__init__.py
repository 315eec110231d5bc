"""Posed RGB-D: folders of frames, TUM, Replica, ScanNet, SUN RGB-D."""
