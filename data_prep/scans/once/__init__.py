"""ONCE."""
