"""What all parts of a plan share: the checked configuration, and how an entry becomes the setting of a job."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from lingualift.configuration.loading import Run


class Lookups:
    """Look-ups for the rules; every method takes names and gives paths or JSON-like settings.

    Paths are relative to the folder of the run. A job's settings hold what determines its output and nothing else,
    so that a change reruns what depends on it and nothing else.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.configuration = run, run.configuration
        self.languages = list(run.configuration.languages)

    def _facts(self, codes: Iterable[str], *facts: str) -> dict[str, dict[str, Any]]:
        """What a job is told of its languages: some facts; what else the table says of them is not its matter."""
        return {code: {fact: getattr(self.run.languages[code], fact) for fact in facts} for code in codes}

    def _codes(self, codes: Iterable[str], column: str | None) -> dict[str, dict[str, Any]]:
        """What a job is told that reads the files of one data set: what that calls its languages, if at all."""
        return {
            code: {"codes": {name: theirs for name, theirs in self.run.languages[code].codes.items() if name == column}}
            for code in codes
        }


def plain(entry: BaseModel) -> dict[str, Any]:
    """An entry as JSON-like values, without what is left at its default: a new setting reruns nothing."""
    return entry.model_dump(mode="json", by_alias=True, exclude_defaults=True) | {
        key: getattr(entry, key) for key in ("reader", "name") if key in type(entry).model_fields
    }
