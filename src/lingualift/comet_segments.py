"""Segments and their scores in files, between this package's environment and COMET's; of the standard library alone.

In one folder:

- ``texts``: sources and references, each different one once, a line of JSON each;
- ``segments``: a line of JSON a direction: its name, the numbers of its sources in ``texts``, its hypotheses, the numbers
  of its references;
- ``scores``: a float64 a segment, in the order of ``segments``.
"""

import json
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

# (source, hypothesis, reference)
Segment = tuple[str, str, str]


class Direction(NamedTuple):
    """The segments of one direction, sentence by sentence."""

    name: str
    segments: list[Segment]


def write_segments(
    directions: Iterable[tuple[str, Sequence[str], Sequence[str], Sequence[str]]], folder: Path
) -> list[int]:
    """Write ``texts`` and ``segments``; white space around a text does not count, as for comet-score.

    Args:
        directions: name, sources, hypotheses and references of each, sentence by sentence.

    Returns:
        How many segments each direction has.
    """
    numbers: dict[str, int] = {}
    sizes = []
    with (
        (folder / "texts").open("w", encoding="utf-8") as texts,
        (folder / "segments").open("w", encoding="utf-8") as segments,
    ):
        for name, *sides in directions:
            sources, hypotheses, references = ([text.strip() for text in side] for side in sides)
            new = {text for side in (sources, references) for text in side if text not in numbers}
            # By length: neighbours are embedded together.
            for text in sorted(new, key=lambda text: (len(text), text)):
                numbers[text] = len(numbers)
                texts.write(json.dumps(text, ensure_ascii=False) + "\n")
            record = [name, [numbers[text] for text in sources], hypotheses, [numbers[text] for text in references]]
            segments.write(json.dumps(record, ensure_ascii=False) + "\n")
            sizes.append(len(hypotheses))
    return sizes


def read_texts(folder: Path) -> list[str]:
    """All sources and references."""
    with (folder / "texts").open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_directions(folder: Path, texts: Sequence[str]) -> Iterator[Direction]:
    """The directions, one at a time; their sources and references are the very objects of ``texts``.

    Raises:
        ValueError: a line is none that ``write_segments`` wrote.
    """
    path = folder / "segments"
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                name, sources, hypotheses, references = json.loads(line)
                columns = [texts[place] for place in sources], hypotheses, [texts[place] for place in references]
                segments = list(zip(*columns, strict=True))
            except (ValueError, TypeError, IndexError) as error:
                raise ValueError(f"{path}:{number}: not a direction: {error}") from error
            yield Direction(name, segments)


def load_scores(folder: Path, start: int = 0, count: int | None = None) -> "array[float]":
    """The scores of some segments in a row; of all behind ``start`` by default."""
    scores = array("d")
    with (folder / "scores").open("rb") as file:
        file.seek(start * scores.itemsize)
        scores.frombytes(file.read(-1 if count is None else count * scores.itemsize))
    return scores
