"""Pages in a real browser: what a visitor finds there, and what happens when they click and type."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars "
    "--disable-background-networking --disable-component-update --disable-sync --virtual-time-budget=10000"
)


def visit(page: Path, script: str, fragment: str = "", size: tuple[int, int] = (1200, 900)) -> Any:
    """Open a page, run a script in it, and give what it returns; any error on the page fails the test.

    Args:
        page: the HTML file.
        script: body of an asynchronous function; ``tick()`` waits until the page has caught up.
        fragment: of the address, after ``#``.
        size: of the window, CSS pixels.
    """
    scripted = _with_script(page, script)
    dom = _chromium(scripted, fragment, size, "--dump-dom")
    found = re.search(r'<pre id="result"[^>]*>(.*?)</pre>', dom, re.DOTALL)
    assert found is not None, "the page did not come to an end"
    answer = json.loads(unescape(found[1]))
    assert answer["errors"] == []
    return answer["result"]


def screenshot(
    page: Path, fragment: str = "", size: tuple[int, int] = (1200, 900), script: str = ""
) -> NDArray[np.int64]:
    """(h, w, 3) RGB of what the window shows, after a script has run in it."""
    picture = page.with_suffix(".png")
    _chromium(_with_script(page, script) if script else page, fragment, size, f"--screenshot={picture}")
    return np.asarray(Image.open(picture).convert("RGB")).astype(np.int64)


def _with_script(page: Path, script: str) -> Path:
    scripted = page.with_suffix(".scripted.html")
    # A browser without a window draws few frames; what waits for one has its turn all the same.
    errors = (
        "<script>window.errors = []; addEventListener('error', event => errors.push(event.message));"
        "window.requestAnimationFrame = turn => setTimeout(turn, 16);</script>"
    )
    run = (
        "<script>(async () => { const tick = () => new Promise(done => setTimeout(done, 100)); let result;"
        f"try {{ await tick(); result = await (async () => {{ {script} }})(); }} catch (error) {{ errors.push(String(error)); }}"
        "const out = document.createElement('pre'); out.id = 'result'; out.hidden = true;"
        "out.textContent = JSON.stringify({ result: result ?? null, errors }); document.body.append(out); })();</script>"
    )
    html = page.read_text()
    scripted.write_text(html.replace("<head>", "<head>" + errors).replace("</body>", run + "</body>"))
    return scripted


def _chromium(page: Path, fragment: str, size: tuple[int, int], action: str) -> str:
    assert CHROMIUM is not None
    profile = page.parent / "profile"
    command = [CHROMIUM, *_FLAGS.split(), f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}"]
    address = page.as_uri() + (f"#{fragment}" if fragment else "")
    return subprocess.run(
        [*command, action, address], check=True, timeout=120, capture_output=True, text=True
    ).stdout
