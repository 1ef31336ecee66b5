"""Where nodes meet."""

import os

import pytest

from lingualift.errors import LingualiftError
from lingualift.rendezvous import address_of, first_host, meeting_point


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1"),
        ("n[1-2]", "n1"),
        ("gpu[003-005,007]", "gpu003"),
        ("a[7,9],b1", "a7"),
        ("rack1-n[08-09]-ib", "rack1-n08-ib"),
        ("n1.cluster.org,n2.cluster.org", "n1.cluster.org"),
    ],
)
def test_first_host(nodes: str, first: str) -> None:
    assert first_host(nodes) == first


def test_one_node_meets_itself() -> None:
    point = meeting_point(1, "0" * 32)
    assert (point.endpoint, point.is_host) == ("127.0.0.1:0", True)


def test_all_nodes_work_out_the_same_place(monkeypatch) -> None:
    monkeypatch.setenv("SLURM_STEP_ID", "2")
    monkeypatch.setenv("SLURM_STEP_NODELIST", "localhost,other")
    monkeypatch.delenv("SLURMD_NODENAME", raising=False)
    points = []
    for node in ("0", "1"):
        monkeypatch.setenv("SLURM_NODEID", node)
        points.append(meeting_point(2, "0" * 28 + "ffff"))
    assert [point.is_host for point in points] == [True, False]
    # By hand: 20000 + (65535 + 2) mod 10000.
    assert {point.endpoint for point in points} == {"localhost:25537"}
    assert len({point.name for point in points}) == 1
    # The same step of the same job, started again.
    other = meeting_point(2, "0" * 27 + "10000")
    assert (other.name, other.endpoint) != (points[0].name, points[0].endpoint)
    # Another step of one start.
    monkeypatch.setenv("SLURM_STEP_ID", "3")
    assert meeting_point(2, "0" * 28 + "ffff").name != points[0].name


def test_several_nodes_outside_of_srun(monkeypatch) -> None:
    monkeypatch.delenv("SLURM_STEP_NODELIST", raising=False)
    with pytest.raises(LingualiftError, match="runs under srun"):
        meeting_point(2, "0" * 32)


def test_a_name_that_only_slurm_knows(monkeypatch, tmp_path) -> None:
    scontrol = tmp_path / "scontrol"
    scontrol.write_text('#!/bin/sh\necho "NodeName=$4 Arch=x86_64 NodeAddr=127.0.0.9 NodeHostName=h"\n')
    scontrol.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert address_of("no-such-node.invalid") == "127.0.0.9"
    assert address_of("localhost") == "localhost"
    scontrol.write_text("#!/bin/sh\nexit 1\n")
    assert address_of("no-such-node.invalid") == "no-such-node.invalid"
