"""Trainings that wait behind a step, so that what happens to them happens in their midst."""

from pathlib import Path

# The first rank waits, once, behind a step while there is a file that names it, and all others for it. Or its time is
# over then.
HOLD = """

_go_on = StopInTime.on_step_end


def _hold(self, args, state, *others, **kwargs):
    import os

    from lingualift.interruptions import _received

    hold, held, over = (Path(f"{name}-{state.global_step}") for name in ("hold", "held", "over"))
    if hold.exists() and not held.exists() and os.environ.get("RANK", "0") == "0":
        held.touch()
        if over.exists():
            self.stops.end = time.time()
        while hold.exists() and not _received and not over.exists():
            time.sleep(0.05)
    _go_on(self, args, state, *others, **kwargs)


StopInTime.on_step_end = _hold
"""


def hold(folder: Path, step: int) -> Path:
    """Have the trainings of a checkout, or what has a copy of the package, wait behind a step."""
    (folder / f"hold-{step}").touch()
    with (folder / "src/lingualift/callbacks.py").open("a", encoding="utf-8") as file:
        file.write(HOLD)
    return folder
