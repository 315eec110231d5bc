"""A map over time: objects appear when they were confirmed."""

from clip2 import ObjectMap
from clip2.viewer import Session
from clip2.viewer.map_moments import moments_of_map
from data_prep import open_scan
from tests.support.viewer_stand_ins import small_model, vocabulary


def test_objects_appear_when_the_map_confirmed_them():
    object_map = ObjectMap(small_model())
    for frame in _frames(6):
        object_map.update(frame)
    moments = moments_of_map(object_map)
    counts = [len(moments.full(i).objects) for i in range(len(moments))]
    assert counts[0] == 0 or counts[0] <= counts[-1]
    last = moments.full(len(moments) - 1)
    assert set(last.objects.track_ids) == set(object_map.query().track_ids)
    session = Session(last, vocabulary())
    assert session.naming.wanted.any()
    assert (session.owners >= 0).all()


def _frames(count):
    scan = open_scan("procedural", "room", frames=300)
    return [scan[i] for i in range(count)]
