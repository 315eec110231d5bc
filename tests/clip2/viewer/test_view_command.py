"""The command on a machine without a display and without a browser."""

import json
import os
import signal
import subprocess
import sys
import urllib.request

from data_prep.triplets import write_triplets
from tests.data_prep.triplets.test_shards import make_triplet


def test_the_address_is_printed_and_served_until_ctrl_c(tmp_path):
    write_triplets(tmp_path / "set", [make_triplet(0, texts=("mug",))], source="toy")
    bare = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
    process = subprocess.Popen(
        [sys.executable, "-m", "clip2", "view", str(tmp_path / "set"), "--port", "0", "--json"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**bare, "PATH": str(tmp_path)},
    )  # fmt: skip
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        with urllib.request.urlopen(url, timeout=10) as page:
            assert b"mug" in page.read()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == 130
        assert "Traceback" not in errors
    finally:
        process.kill()
