"""The reference of the configuration stays in step with the code."""

from pathlib import Path

import pytest

from lingualift.configuration.reference import MARKER, insert, reference
from lingualift.configuration.schema import Configuration
from lingualift.errors import InputError

README = Path(__file__).parents[2] / "config" / "README.md"


def test_the_shipped_reference_is_that_of_the_code():
    _, marker, text = README.read_text(encoding="utf-8").partition(MARKER)
    assert marker
    assert text.strip() == reference().strip(), "run `lingualift reference --into config/README.md`"


def test_every_section_has_its_heading():
    headings = [line.removeprefix("## ").strip("`") for line in reference().splitlines() if line.startswith("## ")]
    sections = [name for name, field in Configuration.model_fields.items() if field.default == {}]
    assert headings == ["Top level", *sections, "prompts.yaml"]


@pytest.mark.parametrize(
    "row",
    [
        "| `seed` | number | `17` | Of everything that is drawn at random. |",
        "| `from` | name | `null` | Another model of this configuration. |",
        "| `beam` | number | `4` | Hypotheses that beam search keeps; 1: greedy. |",
        "| `isolate` | true, false | `false` | Attention and positions stay within one entry. |",
    ],
)
def test_rows_say_key_value_default_and_meaning(row):
    assert row in reference().splitlines()


def test_a_file_without_the_marker_is_left_alone(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("mine")
    with pytest.raises(InputError, match="has no line"):
        insert(path)
    assert path.read_text() == "mine"


def test_what_stands_above_the_marker_stays(tmp_path):
    path = tmp_path / "README.md"
    path.write_text(f"mine\n{MARKER}\nold")
    insert(path)
    assert path.read_text() == f"mine\n{MARKER}\n\n{reference()}"
