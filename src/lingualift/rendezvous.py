"""Where the nodes of a SLURM job meet, worked out on each of them in the same way."""

import contextlib
import os
import re
import socket
import subprocess
from dataclasses import dataclass

import psutil

from lingualift.errors import LingualiftError


@dataclass(frozen=True)
class MeetingPoint:
    """Where torchrun's agents find each other.

    Attributes:
        name: the same on all nodes, another for each start of the job and each step in it.
        endpoint: host and port; port 0 for any, on one node.
        is_host: whether this node answers there.
        address: how other nodes reach this one; None for its own name.
        interface: the network interface by which this node reaches the others; None on one node, or where it is not
            known.
    """

    name: str
    endpoint: str
    is_host: bool
    address: str | None
    interface: str | None = None


def meeting_point(nodes: int, launch: str) -> MeetingPoint:
    """The meeting point of ``nodes`` nodes.

    Among several, only inside of ``srun``: the batch step is not told of the step's nodes.

    Args:
        launch: a random number of 32 hexadecimal digits, the same on all nodes.

    Raises:
        LingualiftError: several nodes, and no SLURM step.
    """
    if nodes == 1:
        return MeetingPoint(f"alone-{os.getpid()}", "127.0.0.1:0", True, "127.0.0.1")
    listed, step = os.environ.get("SLURM_STEP_NODELIST"), os.environ.get("SLURM_STEP_ID", "0")
    if not listed:
        raise LingualiftError("training on several nodes runs under srun, in a SLURM job: see docs/cluster.md")
    hosts = hosts_of(listed)
    # A step of a job that was requeued, or one behind it, meets elsewhere than what may still be closing.
    port = 20_000 + (int(launch, 16) + int(step)) % 10_000
    own, number = os.environ.get("SLURMD_NODENAME"), int(os.environ.get("SLURM_NODEID", "0"))
    first = address_of(hosts[0])
    # Not towards itself: that would be the loopback.
    other = first if number else address_of(hosts[-1])
    return MeetingPoint(
        f"lingualift-{launch}-{step}",
        f"{first}:{port}",
        number == 0,
        address_of(own) if own else None,
        interface_towards(other),
    )


def hosts_of(nodes: str) -> list[str]:
    """The hosts of a SLURM node list, ``n[03-05,7],m1`` say, in its order, by ``scontrol`` where that is there.

    Raises:
        LingualiftError: not a node list.
    """
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        if hosts := _scontrol("show", "hostnames", nodes).split():
            return hosts
    if not re.fullmatch(rf"{_NODES}(?:,{_NODES})*", nodes):
        raise LingualiftError(f"{nodes!r} is not a SLURM node list")
    return [host for part in re.finditer(_NODES, nodes) for host in _expanded(part[0])]


# One entry of a node list: a name, with numbers in brackets in any of its places.
_NUMBERS = r"\d+(?:-\d+)?"
_NODES = rf"(?:[^\[\],\s]|\[{_NUMBERS}(?:,{_NUMBERS})*\])+"


def _expanded(entry: str) -> list[str]:
    """The hosts of one entry; numbers keep the width of the first of a range."""
    head, bracket, rest = entry.partition("[")
    if not bracket:
        return [entry]
    inside, _, tail = rest.partition("]")
    numbers = []
    for item in inside.split(","):
        first, _, last = item.partition("-")
        numbers += [f"{number:0{len(first)}d}" for number in range(int(first), int(last or first) + 1)]
    return [head + number + end for number in numbers for end in _expanded(tail)]


def interface_towards(host: str) -> str | None:
    """The network interface that this machine's way to another one goes through; None where there is no such way."""
    try:
        found = socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM)
    except OSError:
        return None
    for family, kind, protocol, _, address in found:
        # Nothing is sent: the kernel says which address of its own it would send from.
        with contextlib.suppress(OSError), socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            own = probe.getsockname()[0]
            for name, addresses in psutil.net_if_addrs().items():
                if own in (item.address.partition("%")[0] for item in addresses):
                    return name
    return None


def address_of(host: str) -> str:
    """How a node is reached: by its name, or by the address SLURM knows it by where the name is SLURM's alone."""
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        try:
            said = _scontrol("--oneliner", "show", "node", host)
        except (OSError, subprocess.SubprocessError):
            return host
        found = re.search(r"\bNodeAddr=(\S+)", said)
        return found.group(1) if found else host
    return host


def _scontrol(*arguments: str) -> str:
    return subprocess.run(["scontrol", *arguments], capture_output=True, text=True, timeout=60, check=True).stdout
