"""The JSON schema of a configuration, for editors: ``# yaml-language-server: $schema=schema.json`` on the first line.

``config/schema.json`` is made by ``python -m lingualift.configuration.schema_file config/schema.json``.
"""

import json
import sys
from pathlib import Path
from typing import Any

from lingualift.configuration.schema import Configuration
from lingualift.files import atomic_path

_DEFINITION = "#/$defs/"


def schema_json() -> str:
    """The schema as the text of ``config/schema.json``."""
    schema = Configuration.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    _flatten_benchmark(definitions)
    _allow_bare_metrics(schema)
    for section in schema["properties"].values():
        if "patternProperties" in section:
            # Any other name is not one.
            section["additionalProperties"] = False
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **{key: value for key, value in schema.items() if key != "$defs"},
        "$defs": dict(sorted(definitions.items())),
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_schema(path: str | Path) -> None:
    """Write the schema to a file, atomically."""
    with atomic_path(path) as part:
        part.write_text(schema_json(), encoding="utf-8")


def _flatten_benchmark(definitions: dict[str, Any]) -> None:
    """Put the keys of a benchmark's reader beside its own, as they stand in a file."""
    benchmark = definitions["Benchmark"]
    own = {key: value for key, value in benchmark["properties"].items() if key != "test"}
    mapping: dict[str, str] = {}
    for reader, reference in benchmark["properties"]["test"]["discriminator"]["mapping"].items():
        name = reference.removeprefix(_DEFINITION)
        corpus = definitions[name]
        flat = f"Benchmark{name}"
        # A benchmark's own limit, not its corpus's.
        definitions[flat] = {**corpus, "title": flat, "properties": {**corpus["properties"], **own}}
        mapping[reader] = f"{_DEFINITION}{flat}"
    definitions["Benchmark"] = {
        "title": "Benchmark",
        "description": benchmark["description"],
        "discriminator": {"propertyName": "reader", "mapping": mapping},
        "oneOf": [{"$ref": reference} for reference in mapping.values()],
    }


def _allow_bare_metrics(schema: dict[str, Any]) -> None:
    """A metric may be given by its name alone."""
    names = schema["$defs"]["Metric"]["properties"]["name"]
    entries = schema["properties"]["metrics"]["patternProperties"]
    for pattern, entry in entries.items():
        entries[pattern] = {"anyOf": [entry, names]}


if __name__ == "__main__":
    write_schema(sys.argv[1])
