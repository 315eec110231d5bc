"""Public point encoders: key layouts and converters."""
