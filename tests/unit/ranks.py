"""Ranks for tests: forks of this process, which need not import torch again."""

import os
import socket
import traceback
from collections.abc import Callable
from typing import Any

import torch


def train_ranks(count: int, train: Callable[..., Any], **arguments: Any) -> None:
    """Call ``train(world=…, **arguments)`` as each of some ranks; an error in one of them is one here.

    Also for one rank: transformers keeps state in the process, which the next training is not to find.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # A fork has but one thread, whatever pools torch had.
    torch.set_num_threads(1)
    children = {}
    for rank in range(count):
        child = os.fork()
        if not child:
            _be_rank(rank, count, port, train, arguments)
        children[child] = rank
    failed = []
    while children:
        child, status = os.wait()
        rank = children.pop(child)
        if status:
            failed.append(rank)
            # Those that wait for it would wait long.
            for other in children:
                os.kill(other, 9)
    assert not failed, f"ranks {failed} failed; their output says why"


def _be_rank(rank: int, count: int, port: int, train: Callable[..., Any], arguments: dict[str, Any]) -> None:
    status = 1
    try:
        from accelerate.state import AcceleratorState, GradientState

        AcceleratorState._reset_state(reset_partial_state=True)
        GradientState._reset_state()
        names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count, "MASTER_PORT": port}
        # More threads than the fork has would be waited for for ever; accelerate asks for them unless this is set.
        more = {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
        os.environ.update({name: str(value) for name, value in names.items()}, **more)
        from lingualift.parallelism import join_world

        train(world=join_world(), **arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)
