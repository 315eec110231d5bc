"""Labels, names of files, captions and notes that are programs elsewhere are text on every page, in JSON and in ROS."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader
from support.bag_twins import SECOND
from support.index_writers import SPACE
from support.recognition_stand_ins import three_boxes_on_a_floor, tiny_bank, tiny_model
from support.ros_stand_ins import STAMP, two_objects
from support.viewer_stand_ins import room_session

from clip2 import Index, Recognizer
from clip2.auto.report import write_report
from clip2.auto.stages import Record, Stage
from clip2.evaluation.folder import write_folder
from clip2.evaluation.result import ClassRow, Conditions, Confusion, EvalResult, Metric
from clip2.mapping import ObjectMap
from clip2.mapping.page import write_page
from clip2.recognition.instances import Instances3D
from clip2.ros.bag import DETECTIONS, write_bag
from clip2.ros.detections import instances_from_ros
from clip2.search import StoredObject
from clip2.search.page import write_hits
from clip2.viewer.appearance import Appearance
from clip2.viewer.corrections import rename
from clip2.viewer.downloads import with_legend
from clip2.viewer.panel import legend_html, message_html, object_html
from data_prep.check.page import write_check_page
from data_prep.check.report import check_scan
from data_prep.report import Card, Page
from data_prep.report.gallery import write_gallery
from data_prep.report.metrics import measure_triplets
from data_prep.scans import Frame, open_scan
from data_prep.triplets import Provenance, Triplet, open_triplets, write_triplets

HOSTILE = {
    "script": "<script>window.PWN=1</script>",
    "end of script": "</script><script>window.PWN=1</script><!--",
    "attribute": '" onload="window.PWN=1" x=\'',
    "image": "'><img src=x onerror=window.PWN=1>",
    "style": "</style></title></textarea><svg onload=window.PWN=1>",
    "template": "{{7*7}}${window.PWN=1}`+(window.PWN=1)+`\\u003cscript\\u003ewindow.PWN=1\\u003c/script\\u003e",
    "terminal": "\x1b]0;PWN\x07\x1b[2J\u202e\u2028\x00",
    "formula": "=HYPERLINK(\"javascript:window.PWN=1\",'a')",
    "link": "javascript:window.PWN=1//",
    "markdown": "[a](javascript:window.PWN=1) | ![x](x) `\n\n# <script>window.PWN=1</script>",
    "entity": "&lt;script&gt;window.PWN=1&lt;/script&gt;&#x3c;img src=x onerror=window.PWN=1&#x3e;",
}


def picture() -> np.ndarray:
    return np.full((40, 60, 3), 90, np.uint8)


def any_page(text: str, folder: Path) -> Path:
    """Everything that a page is made of."""
    cloud = np.random.default_rng(0).normal(size=(50, 3))
    page = Page(text, text).heading(text).paragraph(text).table([text], [[text], [1]]).image(picture(), text)
    page.links([("x.html", text)]).gallery([Card(title=text, lines=[text], image=picture(), points=cloud)])
    page.cloud(cloud, places=[(text, cloud[0])], labels=[], boxes=[])
    page.explorer([Card(title=text, lines=[text], points=cloud, key=text, words=[text])])
    return page.write(folder / "page.html")


def result_page(text: str, folder: Path) -> Path:
    found = Recognizer(tiny_model(tiny_bank())).set_scan(three_boxes_on_a_floor(0.05)).query("box")
    named = replace(found, labels=(text,) * len(found), vocabulary=(text,), frame_id=text)
    return named.to_html(folder / "result.html", title=text, notes=text)


def check_page(text: str, folder: Path) -> Path:
    scan = open_scan("procedural", "room", frames=2, image_size=(160, 120))
    report = check_scan(scan)
    for index, frame in report.sample.frames.items():
        report.sample.frames[index] = replace(frame, id=text)
    findings = tuple(replace(each, check=text, message=text, fix=text) for each in report.findings)
    told = replace(report, source=text, root=text, there={text: text}, missing=(text,), findings=findings)
    return write_check_page(told, folder / "check.html")


def gallery_page(text: str, folder: Path) -> Path:
    triplet = Triplet(
        "t0",
        np.random.default_rng(0).normal(size=(30, 3)).astype("f4"),
        None,
        picture(),
        (text, text),
        Provenance(frame=text),
    )
    write_triplets(folder / "set", [triplet], source=text)
    triplets = open_triplets(folder / "set")
    write_gallery(triplets, measure_triplets(triplets), folder / "gallery.html")
    return folder / "gallery.html"


def map_page(text: str, folder: Path) -> Path:
    object_map = ObjectMap(tiny_model(tiny_bank()))
    for i in range(4):
        object_map.update(Frame(f"f{i}", three_boxes_on_a_floor(0.05).astype(np.float32), timestamp=i / 10))
    objects = list(object_map.objects.values())
    write_page(folder / "map.html", objects, {one.id: (text, 0.9) for one in objects}, 4, text, text)
    return folder / "map.html"


def search_page(text: str, folder: Path) -> Path:
    one = StoredObject(
        np.eye(8, dtype=np.float32)[0],
        np.ones(7),
        text.replace("\0", ""),
        scan=text,
        source=text,
        crop=picture(),
    )
    index = Index(folder / "db")
    index.add([one], SPACE)
    return write_hits(folder / "hits.html", text, text, index.search(np.ones(8), SPACE))


def auto_page(text: str, folder: Path) -> Path:
    gallery_page(text, folder)
    (folder / "set").rename(folder / "triplets")
    (folder / "run").mkdir()
    training = {"objects": 3, "texts": 2, "seconds": 60.0, "objects_held_out": 0}
    (folder / "run/config.json").write_text(json.dumps({"training": training}))
    rows = [{"label": text, "score": 0.5, "center": [0, 0, 0], "size": [1, 1, 1]}]
    (folder / "result.json").write_text(json.dumps({"objects": rows}))
    stage = Stage("recognize", (text, "--labels", text), text, (folder / "result.json",))
    record = Record(folder)
    record.add(stage, 1.0)
    return write_report(folder, text, [stage], record)


def evaluation_page(text: str, folder: Path) -> Path:
    result = EvalResult(
        benchmark="modelnet10", summary=text, count=10, metrics={"top-1": Metric(0.5, 0.2, 0.8)},
        conditions=Conditions(counted=text, points=text, seed=0, other={text: text}),
        classes=(ClassRow(text, 10, {"top-1": 0.5}), ClassRow("table", 1, {"top-1": 0.5})),
        confusion=Confusion((text, "table"), ((5, 5), (0, 1))), curves=(), notes=(text,), model=text,
    )  # fmt: skip
    write_folder(folder / "eval", [result])
    return next((folder / "eval").glob("*.html"))


def viewer_page(text: str, folder: Path) -> Path:
    """What the viewer's panel shows, and the page that it saves."""
    viser = pytest.importorskip("viser")
    session = room_session()
    rename(session, 0, text)
    parts = [message_html(text), legend_html(Appearance(session).legend()), object_html(session, 0)]
    server = viser.ViserServer(port=0, verbose=False)
    try:
        server.scene.add_label("name", text)
        page = with_legend(server.scene.as_html(dark_mode=True), text, text, [])
    finally:
        server.stop()
    (folder / "view.html").write_text(
        page.replace("</body>", "".join(parts) + "</body>"), encoding="utf-8", errors="replace"
    )
    return folder / "view.html"


PAGES: dict[str, Callable[[str, Path], Path]] = {
    "any": any_page, "result": result_page, "check": check_page, "gallery": gallery_page, "map": map_page, "search": search_page,
    "auto": auto_page, "evaluation": evaluation_page, "viewer": viewer_page,
}  # fmt: skip


class Skeleton(HTMLParser):
    """The elements of a page and the names of their attributes, with addresses that a click follows."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found[f"{tag} {sorted(name for name, _ in attrs)}"] += 1
        self.found.update(
            f"{name}: {value}" for name, value in attrs if (value or "").strip().startswith("javascript")
        )

    def handle_comment(self, data: str) -> None:
        self.found["comment"] += 1


@pytest.mark.parametrize("page", PAGES)
def test_text_adds_no_element_and_no_attribute(page: str, tmp_path: Path) -> None:
    def skeleton(name: str, text: str) -> Counter[str]:
        (tmp_path / name).mkdir()
        return Skeleton(PAGES[page](text, tmp_path / name).read_text("utf-8")).found

    all_at_once = " ".join(HOSTILE.values())
    assert skeleton("hostile", all_at_once) == skeleton("harmless", re.sub(r"[^\n ]", "a", all_at_once))


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    playwright = pytest.importorskip("playwright.sync_api")
    from support.in_browser import CHROMIUM

    if CHROMIUM is None:
        pytest.skip("no chromium")
    with playwright.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_nothing_runs_in_a_browser(page: str, tmp_path: Path, browser: object) -> None:
    """Each text alone; the pointer goes over everything, and every button and summary is clicked."""
    for name, text in HOSTILE.items():
        folder = tmp_path / name.replace(" ", "-")
        folder.mkdir()
        file = PAGES[page](text, folder)
        server = ThreadingHTTPServer(
            ("127.0.0.1", 0), lambda *args, at=folder: SimpleHTTPRequestHandler(*args, directory=str(at))
        )
        threading.Thread(target=server.serve_forever, daemon=True).start()
        visit, dialogs, asked = browser.new_page(), [], []  # type: ignore[attr-defined]
        visit.on("dialog", lambda dialog, seen=dialogs: (seen.append(dialog.message), dialog.dismiss()))
        visit.on("request", lambda request, seen=asked: seen.append(request.url))
        visit.goto(f"http://127.0.0.1:{server.server_port}/{file.relative_to(folder)}")
        visit.wait_for_timeout(500)
        visit.evaluate("""() => { for (const e of document.querySelectorAll('*')) for (const kind of ['mouseover', 'mouseenter', 'focus'])
            e.dispatchEvent(new Event(kind, {bubbles: true}));
            for (const e of document.querySelectorAll('button, summary, a[href^="javascript"], [onclick]')) e.click(); }""")
        visit.wait_for_timeout(200)
        assert visit.evaluate("window.PWN") is None, (page, name)
        assert dialogs == []
        own = f"http://127.0.0.1:{server.server_port}/"
        assert [url for url in asked if not url.startswith((own, "data:", "blob:"))] == []
        visit.close()
        server.shutdown()


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_json_keeps_text_as_it_is(text: str, tmp_path: Path) -> None:
    found = Recognizer(tiny_model(tiny_bank())).set_scan(three_boxes_on_a_floor(0.05)).query("box")
    named = replace(found, labels=(text,) * len(found))
    named.to_json(tmp_path / "a.json")
    written = (tmp_path / "a.json").read_text("utf-8")
    assert all(char.isprintable() or char in "\n " for char in json.dumps(json.loads(written)))
    assert Instances3D.from_json(tmp_path / "a.json").labels == named.labels


@pytest.mark.parametrize("text", [text for text in HOSTILE.values() if "\0" not in text])
def test_ros_messages_keep_text_as_it_is(text: str, tmp_path: Path) -> None:
    objects = replace(two_objects(), labels=(text, text))
    path = write_bag(tmp_path / "out.mcap", [(STAMP, "map", objects), (STAMP + SECOND, "map", objects)])
    with AnyReader([path]) as reader:
        read = [
            reader.deserialize(raw, each.msgtype)
            for each, _, raw in reader.messages()
            if each.topic == DETECTIONS
        ]
    assert all(instances_from_ros(each).labels == (text, text) for each in read)
