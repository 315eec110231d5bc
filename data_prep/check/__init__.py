"""Is this scan what we think it is? Poses, axes, scale, calibration, times: measured, named, and how to mend them."""

from data_prep.check.finding import Finding
from data_prep.check.report import CheckReport, check_scan

__all__ = ["CheckReport", "Finding", "check_scan"]
