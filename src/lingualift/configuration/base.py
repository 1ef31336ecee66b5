"""What every entry of the configuration has in common."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"
LANGUAGE_PATTERN = r"^[A-Za-z][A-Za-z0-9_-]*$"


def _not_a_truth_value(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("YAML takes yes, no, on and off without quotes for truth values: quote it")
    return value


def _language_code(value: Any) -> Any:
    """Norwegian, as the YAML of Snakemake reads it."""
    return "no" if value is False else _not_a_truth_value(value)


Name = Annotated[
    str,
    Field(pattern=NAME_PATTERN, description="A name fit for a folder: letters, digits, '-', '_'."),
    BeforeValidator(_not_a_truth_value),
]
LanguageCode = Annotated[
    str,
    Field(pattern=LANGUAGE_PATTERN, description="A code of config/languages.tsv."),
    BeforeValidator(_language_code),
]


class Entry(BaseModel):
    """One entry: unknown keys are errors, values never change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
