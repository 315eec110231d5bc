"""Atomic files, locks, folders at paths and URLs."""
