"""Environments beside the main one."""

import subprocess
import sys

import pytest

from lingualift.environments import build_environment, environment_name, read_pins
from lingualift.errors import LingualiftError


@pytest.fixture
def pins(tmp_path):
    def write(text):
        path = tmp_path / "comet.txt"
        path.write_text(text)
        return path

    return write


def test_the_name_changes_with_the_pins_and_not_with_comments(pins):
    first = environment_name(pins("# one\nabc==1.0\nxyz==2.0\n"))
    assert first.startswith("comet-")
    assert environment_name(pins("# two\nxyz==2.0  # why\nabc==1.0\n")) == first
    assert environment_name(pins("abc==1.1\nxyz==2.0\n")) != first


@pytest.mark.parametrize("line", ["abc>=1", "abc", "-r other.txt"])
def test_what_is_not_a_pin_is_an_error(pins, line):
    with pytest.raises(LingualiftError, match="is not a pin"):
        read_pins(pins(line))


@pytest.mark.slow
def test_an_environment_is_whole_where_it_ends_up(pins, tmp_path):
    out = tmp_path / "environments" / "empty"
    build_environment(pins(""), out)
    prefix = subprocess.run(
        [out / "bin" / "python", "-c", "import sys; print(sys.prefix)"], check=True, capture_output=True, text=True
    ).stdout.strip()
    assert prefix == str(out)
    assert (out / "manifest.json").is_file()
    # Its programs run from there, too.
    version = f"python {sys.version_info.major}.{sys.version_info.minor}"
    assert (
        version in subprocess.run([out / "bin" / "pip", "--version"], check=True, capture_output=True, text=True).stdout
    )


def test_a_failed_installation_leaves_nothing(pins, tmp_path, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    out = tmp_path / "environments" / "broken"
    with pytest.raises(LingualiftError, match="no-such-package"):
        build_environment(pins("no-such-package==1.0"), out)
    assert list(out.parent.iterdir()) == []
