"""A synthetic room with its objects, and sessions over it."""

from __future__ import annotations

from functools import cache

import clip2
from clip2.viewer import Content, Session
from clip2.viewer.naming import Vocabulary
from data_prep.scans import Frame, open_scan


@cache
def small_model() -> clip2.Clip2Model:
    return clip2.load("mini-points")


@cache
def room_frame() -> Frame:
    return open_scan("procedural", "room", frames=1)[0]


@cache
def recognized_room() -> clip2.Recognizer:
    return clip2.Recognizer(small_model()).set_scan(room_frame())


def vocabulary() -> Vocabulary:
    model = small_model()
    return Vocabulary(model.text, float(model.log_text_scale.detach().exp()), model.config.sizes)


def room_session() -> Session:
    return Session(Content.of_recognizer(recognized_room(), room_frame()), vocabulary())
