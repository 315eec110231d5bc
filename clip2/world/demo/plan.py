"""Plan of a demo run, and the folder that belongs to it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import clip2
from clip2.teacher.bundled import BUNDLED
from data_prep.errors import InputError
from data_prep.storage.files import require_writable, write_atomically
from data_prep.world import ProceduralScan, Setting

SETTINGS: tuple[Setting, ...] = ("room", "street")
PLAN_FILE = "plan.json"
# Seeds of scenes shown after training differ from training seeds. The recognized room was chosen for its appearance.
_UNSEEN, _SCENE = 1_000_000, 2_000_006


def _per_setting(room: int, street: int) -> dict[Setting, int]:
    return {"room": room, "street": street}


@dataclass(frozen=True)
class Plan:
    """Sizes and seed of a demo run.

    Attributes:
        name: ``full`` or ``quick``.
        seed: seed of the world and the training.
        frames: frames to mine, per setting.
        unseen_frames: frames of unseen scenes, whose objects are scored, per setting.
        shown_large: render the images of the recognized scene large; the page shows them.
        views: images that are fused into the recognized scene, per setting. A street is one sweep.
        steps, batch_size, num_points: sizes of the training.
    """

    name: str = "full"
    seed: int = 0
    frames: Mapping[Setting, int] = field(default_factory=lambda: _per_setting(room=176, street=96))
    unseen_frames: Mapping[Setting, int] = field(default_factory=lambda: _per_setting(room=32, street=20))
    views: Mapping[Setting, int] = field(default_factory=lambda: _per_setting(room=16, street=1))
    shown_large: bool = True
    steps: int = 300
    batch_size: int = 64
    num_points: int = 256

    @classmethod
    def quick(cls, seed: int = 0) -> Plan:
        """A smoke test: a few frames and steps, too few to learn anything."""
        return cls(
            name="quick",
            seed=seed,
            frames=_per_setting(room=8, street=4),
            unseen_frames=_per_setting(room=3, street=2),
            views=_per_setting(room=4, street=1),
            shown_large=False,
            steps=40,
            batch_size=32,
            num_points=128,
        )

    def training_scan(self, setting: Setting) -> ProceduralScan:
        """Rooms, each seen once, or streets, each seen from two places; boxes come from a detector with flaws."""
        from clip2.world.points.data import world_scan

        each = 1 if setting == "room" else 2
        return world_scan(setting, self.frames[setting], self.seed, frames_per_world=each, detector="good")

    def unseen_scan(self, setting: Setting) -> ProceduralScan:
        """Other rooms or streets with exact boxes, to score the encoder and not a detector."""
        from clip2.world.points.data import world_scan

        frames = self.unseen_frames[setting]
        return world_scan(setting, frames, self.seed + _UNSEEN, frames_per_world=1, detector="perfect")

    def scene_scan(self, setting: Setting) -> ProceduralScan:
        """One more room, seen from all sides, or one more street, with cameras all around."""
        large = (480, 360) if setting == "room" else (960, 540)
        return ProceduralScan(
            setting,
            frames=self.views[setting],
            seed=self.seed + _SCENE,
            image_size=large if self.shown_large else None,
            cameras=("front", "left", "back", "right") if setting == "street" else ("front",),
        )


def claim_folder(out: Path, plan: Plan) -> None:
    """Create ``out`` as the folder of this plan, or check that it already is.

    Args:
        out: the demo's folder.
        plan: plan of the run.

    Raises:
        InputError: it holds other things, or a demo of another plan, or it cannot be written.
    """
    require_writable(out, "--out")
    path = out / PLAN_FILE
    record = {**asdict(plan), "clip2": clip2.__version__, "teacher": _teacher()}
    if not path.is_file():
        if out.is_dir() and any(not entry.name.endswith(".part") for entry in out.iterdir()):
            raise InputError("holds other things", source=out, field="--out", fix="name a new folder")
        out.mkdir(parents=True, exist_ok=True)
        text = json.dumps(record, indent=2) + "\n"
        write_atomically(path, lambda scratch: scratch.write_text(text, encoding="utf-8"))
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"cannot be read ({error})", source=path, fix="name a new folder with --out"
        ) from error
    for key, value in record.items():
        was = before.get(key) if isinstance(before, dict) else None
        if was != value:
            raise InputError(
                f"holds a demo with {key} {was}, this one has {value}",
                source=out,
                field="--out",
                fix="name a new folder, or delete this one",
            )


def _teacher() -> str:
    """Hash of the shipped teacher's weights."""
    config = BUNDLED["mini"].verified_folder() / "open_clip_config.json"
    return str(json.loads(config.read_text(encoding="utf-8"))["weights"]["sha256"])[:12]
