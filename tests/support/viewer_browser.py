"""A viewer that is served, and a real browser that visits it."""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from clip2.cli.main import load_command

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def served(*arguments: str) -> Iterator[tuple[Any, Any]]:
    """``clip2 view`` with these arguments: its gate, and its app."""
    import tyro

    command = tyro.cli(
        load_command("view"),
        args=[*arguments, "--port", "0"],
        config=(tyro.conf.OmitArgPrefixes, tyro.conf.OmitSubcommandPrefixes, tyro.conf.FlagCreatePairsOff),
    )
    gate, close = command.start()
    try:
        yield gate, command.app
    finally:
        close()


@contextmanager
def visitor(size: tuple[int, int] = (1000, 700)) -> Iterator[Any]:
    """A page of a headless browser; an error in its console fails the test."""
    from playwright.sync_api import sync_playwright

    errors: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=_FLAGS)
        page = browser.new_page(viewport={"width": size[0], "height": size[1]}, accept_downloads=True)
        page.set_default_timeout(90_000)  # without a GPU, on a busy machine
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        try:
            yield page
            assert errors == []
        finally:
            browser.close()


def until(true: Callable[[], bool], seconds: float = 90.0) -> None:
    """Wait until something holds."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def settled(app: Any, true: Callable[[], bool]) -> None:
    """Wait until something holds between two actions: in the middle of one, labels are set and names are still the old."""

    def holds() -> bool:
        with app.page.lock:
            return bool(true())

    until(holds)


def picture(page: Any) -> NDArray[np.int64]:
    """(h, w, 3) RGB of what the window shows."""
    return np.asarray(Image.open(io.BytesIO(page.screenshot())).convert("RGB")).astype(np.int64)


def field(page: Any, label: str) -> Any:
    """The text field, or the number of the slider, with this label in the panel."""
    return page.locator(
        f"//label[normalize-space()='{label}']/following::input[not(@type) or @type='text'][1]"
    )


def choose(page: Any, label: str, option: str) -> None:
    """Choose in the dropdown with this label."""
    field(page, label).click()
    page.get_by_role("option", name=option, exact=True).click()


def place(page: Any, app: Any, points: NDArray[np.float64]) -> tuple[float, float]:
    """Pixel of the middle of an object's world points, for the visitor's camera."""
    from clip2.viewer.page import eye_of

    (client,) = app.clients()
    until(lambda: client.camera.update_timestamp > 0)
    centered = app.session.content.centered(points)
    middle = centered[np.argmin(np.linalg.norm(centered - np.median(centered, axis=0), axis=1))]
    at, _ = eye_of(client).project(middle[None])
    box = page.locator("canvas").first.bounding_box()
    return box["x"] + at[0, 0] * box["width"], box["y"] + at[0, 1] * box["height"]
