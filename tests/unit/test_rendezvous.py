"""Where nodes meet."""

import os
import shutil
from types import SimpleNamespace

import psutil
import pytest

from lingualift import rendezvous
from lingualift.errors import LingualiftError
from lingualift.rendezvous import address_of, hosts_of, interface_towards, meeting_point


@pytest.mark.parametrize(
    ("nodes", "hosts"),
    [
        ("n1", "n1"),
        ("n1,n2", "n1 n2"),
        ("n[1-2]", "n1 n2"),
        ("n[09-11]", "n09 n10 n11"),
        ("gpu[003-005,007]", "gpu003 gpu004 gpu005 gpu007"),
        ("a[7,9],b1", "a7 a9 b1"),
        ("rack1-n[08-09]-ib", "rack1-n08-ib rack1-n09-ib"),
        ("n1.cluster.org,n2.cluster.org", "n1.cluster.org n2.cluster.org"),
        ("n[1-2]x[3-4],m", "n1x3 n1x4 n2x3 n2x4 m"),
    ],
)
@pytest.mark.parametrize("by_slurm", [True, False])
def test_hosts_of_a_node_list(monkeypatch, by_slurm, nodes, hosts) -> None:
    """With SLURM's own reading as reference, where that is there."""
    if by_slurm and shutil.which("scontrol") is None:
        pytest.skip("no scontrol")
    if not by_slurm:
        monkeypatch.setenv("PATH", "")
    assert hosts_of(nodes) == hosts.split()


@pytest.mark.parametrize("nodes", ["", "n[1-", "n[a]", "n1,,n2", "n 1"])
def test_what_is_no_node_list(monkeypatch, nodes) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LingualiftError, match="is not a SLURM node list"):
        hosts_of(nodes)


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


def test_the_interface_towards_another_node(monkeypatch) -> None:
    loopback = next(
        name for name, found in psutil.net_if_addrs().items() if "127.0.0.1" in [it.address for it in found]
    )
    # All of 127.0.0.0/8 is the machine itself.
    assert interface_towards("127.0.0.9") == loopback
    assert interface_towards("no-such-node.invalid") is None
    # Where the address that is sent from is that of no interface any more.
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: {"ib0": [SimpleNamespace(address="10.0.0.1")]})
    assert interface_towards("127.0.0.9") is None


def test_each_node_looks_towards_another_than_itself(monkeypatch) -> None:
    """The own name of a Debian node is 127.0.1.1 to itself: the way there says nothing of that to the others."""
    monkeypatch.setenv("SLURM_STEP_NODELIST", "n[1-3]")
    monkeypatch.delenv("SLURMD_NODENAME", raising=False)
    monkeypatch.setattr(rendezvous, "address_of", lambda host: f"{host}.ib")
    monkeypatch.setattr(rendezvous, "interface_towards", lambda address: f"to {address}")
    found = []
    for node in range(3):
        monkeypatch.setenv("SLURM_NODEID", str(node))
        found.append(meeting_point(3, "0" * 32).interface)
    assert found == ["to n3.ib", "to n1.ib", "to n1.ib"]
    assert meeting_point(1, "0" * 32).interface is None
