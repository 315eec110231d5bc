"""The same on a local Ray cluster of two processors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from deadly_stand_ins import DeadlyScan, contents, die_at_three, fail_at_five
from triplet_stand_ins import StandInDetections, StandInLifter, mine_stand_ins

from data_prep.errors import InputError
from data_prep.scale import create_engine
from data_prep.triplets import mine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    ray: Any = pytest.importorskip("ray")
    tests = Path(__file__).parents[2]
    ray.init(
        num_cpus=2,
        object_store_memory=100 << 20,
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": f"{tests}:{tests.parent}"}},
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
    mine(scan, StandInDetections(), StandInLifter(), out, objects_per_shard=5, engine=engine)  # type: ignore[arg-type]
    assert {path.name for path in (tmp_path / "marks").iterdir()} == {"4", "9"}
    assert contents(out) == contents(tmp_path / "whole")


@pytest.mark.usefixtures("cluster")
def test_what_always_dies_and_what_fails_are_named() -> None:
    with pytest.raises(InputError, match=r"^3: the worker that had it died 3 times"):
        list(create_engine("ray").map(die_at_three, range(6)))
    with pytest.raises(InputError, match=r"^item: number: is five$"):
        list(create_engine("ray").map(fail_at_five, range(8)))
