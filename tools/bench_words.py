"""Measures what `edit --say` understands.

    python -m tools.bench_words

On sentences with the operations that they ask for (tests/edit/words/held_out.tsv, written before the grammar was run;
idioms.tsv, which the grammar mostly cannot read), how many give exactly these operations in these directions, and how
many of those that fail are refused instead of taken for something else; on irrelevant sentences, how many are refused.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from avatar3d.edit.words import Heard, understand

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "edit" / "words"


def operations(heard: Heard) -> set[str]:
    """Returns what was understood as names with directions: `nose_width-`."""
    return {u.op + ("+" if u.sign > 0 else "-") for u in heard.understood}


def pairs(name: str) -> list[tuple[str, set[str]]]:
    """Returns sentences with the operations that they ask for."""
    rows = (line.split("\t") for line in (FOLDER / name).read_text(encoding="utf-8").splitlines())
    return [(text, set(wanted.split())) for text, wanted in rows]


def score(rows: Sequence[tuple[str, set[str]]], encoder: bool, show: bool) -> dict[str, float]:
    """Returns how many sentences were understood, wrongly understood, and refused."""
    right = refused = 0
    start = time.perf_counter()
    for text, wanted in rows:
        heard = understand(text, encoder)
        got = operations(heard)
        right += got == wanted
        refused += not got
        if show and got != wanted:
            print(f"  {text}: wanted {sorted(wanted)}, got {sorted(got)}")
    seconds = (time.perf_counter() - start) / len(rows)
    wrong = len(rows) - right - refused
    return {"sentences": len(rows), "right": right, "wrong": wrong, "refused": refused, "ms": round(1e3 * seconds, 1)}


def main() -> None:
    """Prints the figures as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--show", action="store_true", help="print the sentences that are not understood as wanted")
    show = parser.parse_args().show
    nothing = [(line, set()) for line in (FOLDER / "irrelevant.txt").read_text(encoding="utf-8").splitlines()]
    figures = {
        "held_out_grammar_alone": score(pairs("held_out.tsv"), False, show),
        "held_out": score(pairs("held_out.tsv"), True, show),
        "idioms_grammar_alone": score(pairs("idioms.tsv"), False, False),
        "idioms": score(pairs("idioms.tsv"), True, show),
        "irrelevant": score([(text, {"nothing"}) for text, _ in nothing], True, show),
    }
    print(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
