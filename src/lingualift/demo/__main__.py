"""Write the demo's text from its grammar."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lingualift.demo.grammar import load_grammar
from lingualift.demo.text import write_text


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; ``arguments`` are those of the process where none are given."""
    parser = argparse.ArgumentParser(prog="python -m lingualift.demo", description=__doc__)
    parser.add_argument("grammar", type=Path, help="the grammar (YAML)")
    parser.add_argument("out", type=Path, help="the folder to write to")
    parser.add_argument("--seed", type=int, default=17, help="another seed, other sentences (default: 17)")
    options = parser.parse_args(arguments)
    write_text(load_grammar(options.grammar), options.out, seed=options.seed)


if __name__ == "__main__":
    main()
