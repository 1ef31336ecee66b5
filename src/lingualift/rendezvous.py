"""Where the nodes of a SLURM job meet, worked out on each of them in the same way."""

import os
import re
import socket
import subprocess
from dataclasses import dataclass

from lingualift.errors import LingualiftError


@dataclass(frozen=True)
class MeetingPoint:
    """Where torchrun's agents find each other.

    Attributes:
        name: the same on all nodes, another for each start of the job and each step in it.
        endpoint: host and port; port 0 for any, on one node.
        is_host: whether this node answers there.
        address: how other nodes reach this one; None for its own name.
    """

    name: str
    endpoint: str
    is_host: bool
    address: str | None


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
    first = first_host(listed)
    # A step of a job that was requeued, or one behind it, meets elsewhere than what may still be closing.
    port = 20_000 + (int(launch, 16) + int(step)) % 10_000
    own = os.environ.get("SLURMD_NODENAME")
    return MeetingPoint(
        f"lingualift-{launch}-{step}",
        f"{address_of(first)}:{port}",
        os.environ.get("SLURM_NODEID", "0") == "0",
        address_of(own) if own else None,
    )


def first_host(nodes: str) -> str:
    """The first host of a SLURM node list, ``n[03-05,7],m1`` say.

    Raises:
        LingualiftError: not a node list.
    """
    found = re.match(r"([^\[\],]+)(?:\[(\d+)[^\]]*\]([^,\[]*))?", nodes)
    if not found:
        raise LingualiftError(f"{nodes!r} is not a SLURM node list")
    return "".join(part or "" for part in found.groups())


def address_of(host: str) -> str:
    """How a node is reached: by its name, or by the address SLURM knows it by where the name is SLURM's alone."""
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        try:
            said = subprocess.run(
                ["scontrol", "--oneliner", "show", "node", host], capture_output=True, text=True, timeout=60, check=True
            ).stdout
        except (OSError, subprocess.SubprocessError):
            return host
        found = re.search(r"\bNodeAddr=(\S+)", said)
        return found.group(1) if found else host
    return host
