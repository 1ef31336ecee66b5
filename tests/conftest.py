"""What tests share."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of sample data in its publishers' own formats; skips where it is absent."""
    folder = Path(__file__).parents[1].parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("the sample data (../shared/data) is not there")
    return folder


def pytest_make_parametrize_id(argname: str, val: object) -> str | None:
    """Archives name no test: their bytes may hold the time, and processes side by side must collect the same names."""
    return argname if isinstance(val, bytes) and len(val) > 40 else None


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """What a job, a benchmark or a library makes of the root logger ends with its test."""
    root = logging.getLogger()
    level, disabled = root.level, root.manager.disable
    yield
    root.setLevel(level)
    logging.disable(disabled)
