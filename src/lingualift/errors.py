"""The errors a user can mend: what is wrong, where, and what to do."""

from pathlib import Path


class LingualiftError(Exception):
    """An error to show without a traceback: its message says what to do."""


class InputError(LingualiftError):
    """A file that cannot be used, with the place where it broke."""

    def __init__(self, path: str | Path, message: str, *, line: int | None = None) -> None:
        place = f"{path}:{line}" if line is not None else f"{path}"
        super().__init__(f"{place}: {message}")
        self.path, self.message, self.line = str(path), message, line

    def __reduce__(self) -> tuple[object, ...]:
        # An exception with arguments of its own has to say how it crosses from a worker process.
        return _input_error, (self.path, self.message, self.line)


def _input_error(path: str, message: str, line: int | None) -> InputError:
    return InputError(path, message, line=line)
