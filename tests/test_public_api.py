"""The public names of both packages, and what every one of them documents."""

import inspect

import pytest

import clip2
import data_prep

PUBLIC = {
    clip2: (
        "Classification Client Clip2Model Index InputError Instances3D ObjectMap Preprocessing Recognizer Teacher TextBank __version__ "
        "create_encoder embed_triplets evaluate list_encoders list_pretrained load save train"
    ),
    data_prep: (
        "BadDatasetError BadFrameError Camera CocoDetections Detections2D Frame InputError LiftResult MiningConfig ObjectCloud "
        "ObjectView Observation OrientedBox Provenance Scan Triplet View check_scan create_lifter label_scan list_sources mine "
        "open_scan open_triplets write_triplets"
    ),
}
NAMES = [
    pytest.param(getattr(package, name), id=f"{package.__name__}.{name}")
    for package, names in PUBLIC.items()
    for name in names.split()
    if name != "__version__"
]


@pytest.mark.parametrize("package", PUBLIC, ids=lambda package: package.__name__)
def test_the_list_is_locked_and_shown(package):
    assert sorted(package.__all__) == PUBLIC[package].split()
    assert set(package.__all__) <= set(dir(package))


def test_a_name_that_does_not_exist_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'clip2' has no attribute 'recognizer'"):
        clip2.recognizer  # noqa: B018


@pytest.mark.parametrize("thing", NAMES)
def test_every_name_documents_its_arguments_its_errors_and_an_example(thing):
    text = inspect.getdoc(thing) or ""
    assert text.splitlines()[0].endswith("."), "the first line is a sentence"
    assert ">>> " in text, "no example"
    makers = _makers(thing)
    if any(set(inspect.signature(make).parameters) - {"self"} for make in makers):
        assert "Args:" in text or "Attributes:" in text
    if any("raise " in inspect.getsource(make) for make in makers if make.__code__.co_filename != "<string>"):
        assert "Raises:" in text


def _makers(thing) -> list:
    """A function itself; of a class the functions that make an object, without inherited ones."""
    if inspect.isfunction(thing):
        return [thing]
    return [vars(thing)[name] for name in ("__init__", "__post_init__") if name in vars(thing)]
