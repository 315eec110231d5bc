"""KITTI object and tracking, and Waymo exported to its layout."""
