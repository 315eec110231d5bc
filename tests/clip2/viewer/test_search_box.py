"""Search box over an index, served by clip2 view."""

import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest

from clip2.search import Index, StoredObject
from clip2.search.search_box import SearchBox
from clip2.teacher import TextBank
from data_prep import InputError
from tests.support.viewer_browser import needs_browser, picture, served, visitor
from tests.support.viewer_stand_ins import small_model

EVIL = '"><script>document.title="broken"</script>'


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """An index with a mug in a kitchen, and a chair in a scan of an evil name."""
    pytest.importorskip("lancedb")
    model, rng = small_model(), np.random.default_rng(0)
    mug, chair = model.text_source().embed_labels(["mug", "chair"])
    index = Index(tmp_path_factory.mktemp("search") / "db")
    index.add(
        [
            StoredObject(
                vector,
                np.array([9.0 * i, 0, 0, 1, 1, 1, 0]),
                label,
                scan=scan,
                points=rng.normal(size=(300, 3)) + [9.0 * i, 0, 0],
                crop=np.full((60, 60, 3), (250, 10, 10), np.uint8),
            )
            for i, (vector, label, scan) in enumerate([(mug, "mug", "kitchen"), (chair, "chair", EVIL)])
        ],
        model.teacher.name,
    )
    return index.path


def asked(url, **query):
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
        return answer.read().decode()


def test_an_address_with_a_query_is_answered_with_hits(fleet):
    with served(fleet) as (gate, _):
        start = asked(gate.url)
        assert ("2 objects in" in start, "card" in start.split("<main>")[1]) == (True, False)
        found = asked(gate.url, q="mug").split("<main>")[1]
        assert found.index("1. mug") < found.index("2. chair")
        only = asked(gate.url, q="mug", scan=EVIL).split("<main>")[1]
        assert ("1. chair" in only, "1. mug" in only, "<script>document" in only) == (True, False, False)
        assert "Nothing was found" in asked(gate.url, q="mug", scan="cellar")
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(gate.url + "favicon.ico", timeout=5)


def test_a_label_without_a_vector_is_said_on_the_page(fleet):
    bank = TextBank(("mug",), np.eye(512, dtype=np.float32)[:1], model="ViT-B-32/other")
    page = SearchBox(Index(fleet), bank)("/?q=" + urllib.parse.quote(EVIL)).decode().split("<main>")[1]
    assert "has no vector" in page
    assert "<script>document" not in page
    assert "has vectors of" in SearchBox(Index(fleet), bank)("/?q=mug").decode()


def test_an_index_of_another_model_is_refused(tmp_path):
    pytest.importorskip("lancedb")
    index = Index(tmp_path / "db")
    index.add([StoredObject(np.eye(8, dtype=np.float32)[0], np.ones(7))], "ViT-B-32/other")
    with pytest.raises(InputError, match="made with ViT-B-32/other"), served(index.path):
        pass


@needs_browser
@pytest.mark.slow
def test_a_visitor_searches(fleet):
    with served(fleet) as (gate, _), visitor() as page:
        page.route("**/favicon.ico", lambda route: route.fulfill(status=204))
        page.goto(gate.url)
        box = page.get_by_label("look for")
        box.fill("mug")
        box.press("Enter")
        page.wait_for_selector(".card")
        assert page.locator(".card h3").all_text_contents() == ["1. mug", "2. chair"]
        assert page.title() == "mug"
        page.get_by_label("in the scan").fill(EVIL)
        page.get_by_role("button", name="search").click()
        page.wait_for_function("document.querySelectorAll('.card').length == 1")
        assert page.locator(".card h3").all_text_contents() == ["1. chair"]
        page.wait_for_timeout(300)
        image = picture(page)
        assert ((image[..., 0] > 200) & (image[..., 1:].max(axis=-1) < 60)).sum() > 1000  # the crop
