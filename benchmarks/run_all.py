"""Run every benchmark, one after the other.

    python benchmarks/run_all.py --data ../shared/data

Nothing else should run on the machine. Each prints its table and writes ``benchmarks/output/<name>.csv``. One that fails
does not stop those after it; the last line says which did.
"""

import argparse
import subprocess
import sys
from pathlib import Path

# Those that read the sample data, and the one that makes its own.
_WITH_DATA = ("word_replacement", "lexicon", "packing", "training", "translation", "spbleu", "comet_scores")
_WITHOUT = ("training_speed", "scaling", "memory", "tables", "dry_run")


def main() -> None:
    """Run those asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "names", nargs="*", metavar="name", help=f"of {', '.join(_WITH_DATA + _WITHOUT)}; all by default"
    )
    parser.add_argument("--data", default="../shared/data", help="the folder of sample data")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - {*_WITH_DATA, *_WITHOUT}:
        parser.error(f"no such benchmark: {', '.join(sorted(unknown))}")
    failed = []
    for name in arguments.names or _WITH_DATA + _WITHOUT:
        print(f"\n## {name}", flush=True)
        options = ["--data", arguments.data] if name in _WITH_DATA else []
        if subprocess.run([sys.executable, str(Path(__file__).parent / f"{name}.py"), *options]).returncode:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
