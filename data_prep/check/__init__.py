"""Scan checks: poses, axes, scale, calibration and times are measured, and every finding comes with a fix."""

from data_prep.check.finding import Finding
from data_prep.check.report import CheckReport, check_scan

__all__ = ["CheckReport", "Finding", "check_scan"]
