"""One rank of a training, as torchrun starts it: ``python -m lingualift.train_worker <folder of the launch>``."""

import logging
import os
import sys
import traceback
from pathlib import Path

from lingualift.launching import run_rank
from lingualift.processes import die_with_parent


def main(folder: str) -> None:
    """Train as this rank, and end this process: what hangs in other ranks must not hang in this one too."""
    rank = os.environ.get("RANK", "0")
    die_with_parent()
    logging.basicConfig(
        level=logging.INFO if rank == "0" else logging.WARNING,
        format=f"%(asctime)s %(levelname)s [rank {rank}] %(message)s",
        stream=sys.stderr,
    )
    try:
        status = run_rank(Path(folder))
    except BaseException:
        logging.error("%s", traceback.format_exc())
        status = 1
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1])
