"""What all benchmarks share: rounds, medians, and how the figures are printed.

A benchmark is a module with a `measure(quick)` that returns one round's figures by name; `main` asks it
several times in turn and prints the medians.
"""

import argparse
import json
from collections.abc import Callable, Mapping
from statistics import median

Figures = Mapping[str, float]


def main(name: str, measure: Callable[[bool], Figures], *, rounds: int = 5) -> None:
    """Runs benchmark `name` from the command line: `python -m tests.benchmarks.NAME [--json] [--quick]`."""
    parser = argparse.ArgumentParser(prog=f"python -m tests.benchmarks.{name}")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--quick", action="store_true", help="a small size and one round, for development")
    options = parser.parse_args()
    figures = medians([measure(options.quick) for _ in range(1 if options.quick else rounds)])
    for key, value in figures.items():
        print(f"{key:>32} {value:12,.3f}")
    if options.json:
        print(json.dumps({"benchmark": name, **figures}))


def medians(rounds: list[Figures]) -> dict[str, float]:
    """The median of each figure over the rounds."""
    return {key: round(median(figures[key] for figures in rounds), 4) for key in rounds[0]}
