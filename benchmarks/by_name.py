"""The benchmarks that run only when they are asked for: most judge quality, not speed, and take long."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.record import Row
from data_prep.errors import InputError

_CONFIGS = Path(__file__).parents[1] / "configs/train"


def mining(data: Path | None, quick: bool) -> Iterator[Row]:
    """CPU time per frame by stage, and how much memory grows."""
    from benchmarks.mining_speed import Cost, Memory

    frames = 200 if quick else 5000
    grown = Memory(frames, every=frames // 10).run()
    case = f"memory of the process, first fifth to the end of {frames} frames"
    ours = grown["growth_MB_after_a_fifth"]
    yield Row("mining", case, unit="MB", ours=ours, note=f"then {grown['rows'][-1]['process_MB']:.0f} MB")
    if data is None:
        return
    for said, source, root, detections in (
        ("KITTI", "kitti", "kitti_object", "kitti_object_fastestdet.json"),
        ("7-Scenes", "rgbd", "rgbd/7scenes_redkitchen", "7scenes_fastestdet.json"),
    ):
        if not (data / root).is_dir():
            yield Row("mining", f"{said}: CPU time per frame", note=f"not measured: no {root} there")
            continue
        found = Cost(source, data / root, data / "detections" / detections, frames=2 if quick else 8).run()
        about = f"{found['points_per_frame']:,} points, {found['objects_per_frame']:.1f} objects per frame"
        seconds = found["cpu_seconds_per_frame"]
        yield Row("mining", f"{said}: CPU time per frame", ours=1e3 * seconds.pop("all"), note=about)
        for stage, value in seconds.items():
            yield Row("mining", f"  of it to {stage}, {said}", ours=1e3 * value)


def word_filter(data: Path | None, quick: bool) -> Iterator[Row]:
    """Share of words that are wrong, before and after."""
    from benchmarks.word_filter import measure
    from clip2.teacher import Teacher

    teacher = Teacher.load("mini")
    for setting in ("room", "street"):
        for detector in ("good",) if quick else ("good", "weak"):
            found = measure(teacher, setting, detector, 4 if quick else 24, times_chance=1.0)
            before, after = found["wrong_before"], found["wrong_after"]
            yield Row(
                "word_filter",
                f"{setting}, {detector} detector: words that are wrong",
                "unfiltered",
                "",
                after,
                before,
                after / before if before else None,
                note=f"{found['objects']} objects; {found['right_lost']:.1%} of the right words are lost",
            )


def lift_quality(data: Path, quick: bool) -> Iterator[Row]:
    """Mean IoU with the labeled points."""
    from benchmarks import lift_quality

    for name, kinds in lift_quality.measure(data).items():
        for kind, said in (("boxes", "exact boxes"), ("detector", "real boxes")):
            figures = kinds.get(kind, {})
            ours = figures.get("clip2", {}).get("mean_iou")
            for rival, other in figures.items():
                theirs = other["mean_iou"]
                if rival == "clip2" or ours is None or theirs is None:
                    continue
                share = ours / theirs if theirs else None
                yield Row("lift_quality", f"{name}, {said}: mean IoU", rival, "", ours, theirs, share)


def proposals(data: Path | None, quick: bool) -> Iterator[Row]:
    """Recall by group of scans."""
    from benchmarks.proposals import measure

    for group, figures in measure(data).items():
        if "recall_50" in figures:
            note = f"{figures['objects']} objects"
            ours = figures["recall_50"]
            yield Row("proposals", f"{group}: recall at IoU 0.5", unit="", ours=ours, note=note)


def unknown(data: Path, quick: bool) -> Iterator[Row]:
    """Share of clouds that get a definite name that is wrong."""
    from benchmarks.unknown import measure

    for group, ways in measure(data).items():
        off = ways["off"]["nonsense"]
        for way, figures in ways.items():
            if way != "off":
                case, ours = f"{group}: definite names that are wrong", figures["nonsense"]
                yield Row("unknown", case, "without unknown", "", ours, off, ours / off if off else None)


def association(data: Path | None, quick: bool) -> Iterator[Row]:
    """Purity and completeness beside simpler trackers."""
    from benchmarks.association import measure

    for case, found in measure(data, 12 if quick else 60).items():
        ours = found["association"]
        for rival, theirs in found.items():
            for figure in ("purity", "completeness") if rival != "association" else ():
                a, b = ours[figure], theirs[figure]
                yield Row("association", f"{case}: {figure}", rival, "", a, b, a / b if b else None)


def modelnet10(data: Path, quick: bool) -> Iterator[Row]:
    """Ten-way accuracy by text."""
    from benchmarks.modelnet10 import run

    grids, bank = data / "objects/modelnet10.npz", data / "clip/vit_b32_text_bank.npz"
    for file in (grids, bank):
        if not file.exists():
            raise InputError("is not there", source=file, fix="name a folder that has it with --data")
    with TemporaryDirectory() as folder:
        found = run(grids, bank, "ViT-B-32/openai", _CONFIGS / "modelnet10.yaml", 0, Path(folder))
    note = f"{found['test_shapes']} shapes, {found['train_seconds']:.0f} s of training"
    yield Row("modelnet10", "ten-way top-1 by text", unit="", ours=found["top1"], note=note)
