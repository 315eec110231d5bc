"""Files of older versions; their scripts run with the code of that version only."""

collect_ignore_glob = ["*"]
