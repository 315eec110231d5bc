"""The same on a local Ray cluster of two processors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.deadly_stand_ins import DeadlyScan, die_at_three, fail_at_five
from support.killing import contents
from support.triplet_stand_ins import StandInDetections, StandInLifter, mine_stand_ins

from data_prep.associate import AssociationConfig
from data_prep.errors import InputError
from data_prep.scale import create_engine
from data_prep.triplets import MiningConfig, mine, open_triplets

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray: Any = pytest.importorskip("ray")
    tests = Path(__file__).parents[2]
    with pytest.MonkeyPatch.context() as environment:
        # Processes of a local cluster inherit this; a runtime_env would need an agent that has to start in time.
        environment.setenv("PYTHONPATH", f"{tests}{os.pathsep}{tests.parent}")
        # A busy machine is no failure: nothing is killed because others use its memory, and starting may take long.
        environment.setenv("RAY_memory_monitor_refresh_ms", "0")
        environment.setenv("RAY_worker_register_timeout_seconds", "600")
        environment.setenv("RAY_gcs_server_port_wait_time_s", "300")
        environment.setenv("RAY_gcs_server_request_timeout_seconds", "300")
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=100 << 20,
            include_dashboard=False,
            configure_logging=False,
            log_to_driver=False,
        )
        yield
        ray.shutdown()


@pytest.mark.usefixtures("cluster")
def test_a_cluster_gives_the_same_bytes_and_a_killed_worker_changes_nothing(tmp_path: Path) -> None:
    mine_stand_ins(tmp_path / "whole")
    mine_stand_ins(tmp_path / "ray", engine=create_engine("ray"))
    assert contents(tmp_path / "ray") == contents(tmp_path / "whole")
    (tmp_path / "marks").mkdir()
    scan, out = DeadlyScan(Path("/nowhere"), tmp_path / "marks"), tmp_path / "killed"
    engine = create_engine("ray", workers=2)
    config = MiningConfig(objects_per_shard=5)
    mine(scan, StandInDetections(), out, config, lifter=StandInLifter(), engine=engine)  # type: ignore[arg-type]
    assert {path.name for path in (tmp_path / "marks").iterdir()} == {"4", "9"}
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.usefixtures("cluster")
def test_what_always_dies_and_what_fails_are_named() -> None:
    with pytest.raises(InputError, match=r"^3: the worker that had it died 3 times"):
        list(create_engine("ray").map(die_at_three, range(6)))
    with pytest.raises(InputError, match=r"^item: number: is five$"):
        list(create_engine("ray").map(fail_at_five, range(8)))


@pytest.mark.usefixtures("cluster")
def test_objects_followed_through_frames_are_the_same_on_a_cluster(tmp_path: Path) -> None:
    for name, engine in (("here", create_engine()), ("ray", create_engine("ray"))):
        associate = AssociationConfig(enabled=True, segment=4)
        mine_stand_ins(tmp_path / name, associate=associate, engine=engine)
    assert contents(tmp_path / "ray") == contents(tmp_path / "here")
    assert open_triplets(tmp_path / "ray").manifest.merged > 0
