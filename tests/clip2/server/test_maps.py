"""Live maps: frames over HTTP make the same map as in Python."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from support.live_server import running
from support.recognition_stand_ins import box_surface, ground, tiny_bank, tiny_model

from clip2 import Client, InputError, ObjectMap
from clip2.server import Limits
from data_prep.geometry import rigid
from data_prep.scans import Frame

SCENE = np.concatenate([ground(2, 0.05), box_surface((0, 0, 0.3), (0.6, 0.6, 0.6), spacing=0.04)])


def frame(number: int) -> Frame:
    """The scene from a sensor that moves 10 cm per frame; the points are in the sensor's axes."""
    pose = rigid(translation=np.array([-1 + 0.1 * number, -1, 1.0]))
    return Frame.build(f"{number}", SCENE - pose[:3, 3], T_world_points=pose, timestamp=0.1 * number)


@pytest.fixture(scope="module")
def model():
    return tiny_model(tiny_bank())


@pytest.fixture
def live(model):
    with running(model, Limits(max_maps=2)) as server:
        yield server


def test_frames_make_the_same_map_as_in_python(live, model):
    client, here = Client(live.url), ObjectMap(model)
    for number in range(5):
        update = client.add_frame("kitchen", frame(number))
        wanted = here.update(frame(number))
        assert update["frames"] == number + 1
        assert update["new"] == list(wanted.new)
    found, expected = client.map_objects("kitchen", "chair,box"), here.query("chair,box")
    assert len(expected) >= 1
    assert found.labels == expected.labels
    assert np.allclose(found.boxes, expected.boxes, atol=1e-4)
    assert found.track_ids.tolist() == expected.track_ids.tolist()


def test_maps_are_kept_apart_limited_and_forgotten(live):
    client = Client(live.url)
    for name in ("a", "b"):
        client.add_frame(name, frame(0))
    assert live.ask("/v1/maps").json == {"maps": ["a", "b"]}
    with pytest.raises(InputError, match="answered 409: there are 2 maps"):
        client.add_frame("c", frame(0))
    assert live.ask("/v1/maps/a", method="DELETE").json == {"maps": ["b"]}
    client.add_frame("c", frame(0))
    for path in ("/v1/maps/a/objects", "/v1/maps/..%2F..%2Fetc/objects"):
        assert live.ask(path).status == 404
    assert live.ask("/v1/maps/a", method="DELETE").status == 404


def test_bad_frames_change_nothing(live):
    client = Client(live.url)
    client.add_frame("a", frame(5))
    with pytest.raises(InputError, match="answered 400"):
        client.add_frame("a", frame(3))  # time runs backwards
    body = np.ones((30, 3), "<f4").tobytes()
    for query in ("pose=1,2,3", "pose=" + ",".join(["2"] * 16), "timestamp=nan", "timestamp=x"):
        assert live.ask(f"/v1/maps/a/frames?columns=3&{query}", body).status == 400
    assert live.ask("/v1/maps/a%20b/frames?columns=3", body).status == 400
    assert client.add_frame("a", frame(6))["frames"] == 2


def test_frames_that_arrive_together_take_turns(live):
    client = Client(live.url)
    threads = [threading.Thread(target=client.add_frame, args=("a", frame(5))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.add_frame("a", frame(6))["frames"] == 7


def test_a_server_of_many_processes_keeps_no_maps(model):
    with running(model, Limits(max_maps=0)) as server:
        answer = server.ask("/v1/maps/a/frames?columns=3", np.ones((30, 3), "<f4").tobytes())
        assert answer.status == server.ask("/v1/maps/a/objects").status == 501
        assert answer.json["error"] == "this server keeps no maps: each of its processes would have its own"
