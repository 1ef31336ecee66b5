"""Work on many processes: some tasks, done by forked workers that hold what all tasks need."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any, TypeVar

from lingualift.processes import die_with_parent

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


def in_parallel(run: Callable[[_Task], _Result], tasks: Sequence[_Task], workers: int) -> Iterator[_Result]:
    """The results of some tasks as they come, from so many processes; in this process if one does.

    Args:
        run: need not be pickled, so it may hold much.

    Raises:
        Exception: what the first task to fail raises; those that have not begun are left.
    """
    if workers <= 1 or len(tasks) <= 1:
        yield from map(run, tasks)
        return
    # Forked, not spawned: a spawned worker would run the calling script again.
    context = multiprocessing.get_context("fork")
    with ProcessPoolExecutor(min(workers, len(tasks)), context, _start_worker, (run, os.getpid())) as pool:
        futures = [pool.submit(_run_task, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


_run: Callable[[Any], Any]


def _start_worker(run: Callable[[Any], Any], parent: int) -> None:
    global _run
    _run = run
    die_with_parent(parent=parent)


def _run_task(task: Any) -> Any:
    return _run(task)
