"""nuScenes: tables, keyframe index, reader."""
