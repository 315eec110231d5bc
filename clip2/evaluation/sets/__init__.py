"""Readers of object sets: one module per family of files."""
