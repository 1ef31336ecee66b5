"""What every entry of the configuration has in common."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.+-]*$"

Name = Annotated[str, Field(pattern=NAME_PATTERN, description="A name fit for a folder: letters, digits, '-', '_'.")]
LanguageCode = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$", description="A code of config/languages.tsv.")]


class Entry(BaseModel):
    """One entry: unknown keys are errors, values never change once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
