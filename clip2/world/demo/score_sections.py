"""The sections on how well unseen objects are named."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from clip2.world.demo.drawings import confusion_svg
from clip2.world.demo.layout import GOOD, SOFT, STRONG, DemoPage, bars, table
from clip2.world.demo.plan import SETTINGS
from clip2.world.demo.scoring import EVERYTHING, Naming, card, shipped_card
from data_prep.world import list_categories

if TYPE_CHECKING:
    from clip2.world.demo.stages import DemoResult

# Figures of score cards in words, and the order they come in.
_FIGURES = {
    "seen": "top-1, categories trained on, among all words",
    "teacher_seen": "top-1 of the teacher on the same objects' crops",
    "of_teacher": "the first as a share of the second",
    "top5": "the right word among the best five",
    "top1_per_word": "top-1, every word counting the same",
    "top1_room": "things of rooms, among words of rooms",
    "top1_street": "things of streets, among words of streets",
    "unseen_among_unseen": "categories never trained on, among those",
    "unseen_among_all": "categories never trained on, among all words",
    "unseen_pairs": "color and category never seen together, among all pairs",
    "teacher_unseen_pairs": "the teacher on those",
    "category_in_unseen_color": "category of a thing in a color new to it",
    "seen_objects": "objects of known categories",
    "unseen_objects": "objects of unknown categories",
    "pair_objects": "objects in new colors",
    "objects_trained_on": "objects trained on",
}


def add_scores(page: DemoPage, result: DemoResult) -> None:
    """Bars, score cards and the confusion matrix."""
    page.heading("How well unseen objects are named")
    page.paragraph(
        "Objects of rooms and streets that were not trained on, cut out along exact boxes, so that this measures the encoder "
        "and not a detector; those of which at least half shows. The teacher names the image crops of the same objects: it is "
        "what the encoder learns from."
    )
    groups = [(_group_title(name, each), _group_bars(each)) for name, each in result.naming.items()]
    left = "<h3>Top-1</h3>" + bars(groups)
    right = "<h3>Score card</h3>" + _cards(result)
    page.columns(left, right)
    whole = result.naming[EVERYTHING].student
    page.html_part('<h3 class="sub">What is taken for what</h3>')
    page.drawing(
        confusion_svg(whole.confusion, whole.labels, [list_categories(setting) for setting in SETTINGS]),
        "Rows: what it is, with how many there were. Columns: what it was called. Things of rooms first, then those of "
        "streets; among them, words that are taken for one another stand side by side. Point at a cell to read it.",
    )


def _group_title(name: str, each: Naming) -> str:
    where = "all together" if name == EVERYTHING else f"{name}s"
    return f"{where}: {each.objects:,} objects, {each.words} words"


def _group_bars(each: Naming) -> list[tuple[str, float, str]]:
    rows = [
        ("commonest word", each.commonest, SOFT),
        ("this run", each.student.top1, STRONG),
        ("teacher mini, from crops", each.teacher.top1, GOOD),
    ]
    if each.shipped is not None:
        rows.insert(2, ("mini-points, shipped", each.shipped.top1, "#7c5cd6"))
    return rows


def _cards(result: DemoResult) -> str:
    ours, shipped = card(result.naming), shipped_card()
    keys = [key for key in _FIGURES if key in ours or key in shipped]
    keys += [key for key in (*ours, *shipped) if key not in _FIGURES]
    keys = [key for key in dict.fromkeys(keys) if _shown(ours.get(key)) or _shown(shipped.get(key))]
    columns = ["figure", "this run", *(["mini-points, shipped"] if shipped else [])]
    rows = [
        [
            _FIGURES.get(key, key.replace("_", " ")),
            _shown(ours.get(key)) or "–",
            *([_shown(shipped.get(key)) or "–"] if shipped else []),
        ]
        for key in keys
    ]
    note = (
        "The shipped one was measured on other scenes when it was made, after longer training."
        if shipped
        else "No trained mini-points is in this installation to set beside it."
    )
    return table(columns, rows) + f"<p>{escape(note)}</p>"


def _shown(value: Any) -> str:
    """A figure as people read it; empty for what is none."""
    if isinstance(value, dict) and "mean" in value:
        spread = f" ± {100 * value['std']:.1f}" if "std" in value else ""
        return f"{100 * value['mean']:.1f}{spread} %"
    if isinstance(value, float):
        return f"{100 * value:.1f} %"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) and value else ""
