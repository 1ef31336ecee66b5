"""The errors a user can mend: what is wrong, where, and what to do."""

from pathlib import Path


class LingualiftError(Exception):
    """An error to show without a traceback: its message says what to do."""


class RecordNumber(int):
    """The number of a record, from 1, where others have a line: in an array, or in a file without lines."""


class InputError(LingualiftError):
    """A file that cannot be used, with the place where it broke: a line, or else a :class:`RecordNumber`."""

    def __init__(self, path: str | Path, message: str, *, line: int | None = None) -> None:
        place = "" if line is None else f": record {line}" if isinstance(line, RecordNumber) else f":{line}"
        super().__init__(f"{path}{place}: {message}")
        self.path, self.message, self.line = str(path), message, line

    def __reduce__(self) -> tuple[object, ...]:
        # An exception with arguments of its own has to say how it crosses from a worker process.
        return _input_error, (self.path, self.message, self.line)


def _input_error(path: str, message: str, line: int | None) -> InputError:
    return InputError(path, message, line=line)
