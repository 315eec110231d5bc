"""Protocols on labeled scans: lifting, proposals, boxes, detection, tracking, open set."""
