"""A real SLURM cluster for tests, and what they share with the tests of local runs."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from cluster import Cluster, cluster, missing


@pytest.fixture(scope="session")
def slurm() -> Iterator[Cluster]:
    """Two idle nodes; skips where SLURM is not installed."""
    if reason := missing():
        pytest.skip(reason)
    with cluster() as it:
        yield it
