"""The `layout` folder format: reader, records, writer."""
