"""Class-agnostic object proposals."""
