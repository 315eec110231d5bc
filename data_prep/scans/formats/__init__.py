"""Readers of single files: images, clouds, meshes, recordings."""
