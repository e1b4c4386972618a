"""Bad input, said in one line."""

from collections.abc import Sequence


class AvatarError(Exception):
    """Bad input, said in one line: what was wrong and what to do. The command line prints it without a traceback."""


def first_of(names: Sequence[str], wanted: str) -> int:
    """Returns the index of `wanted`, or raises an `AvatarError` that names the nearest ones."""
    if wanted in names:
        return list(names).index(wanted)
    import difflib

    near = difflib.get_close_matches(wanted, names, n=3, cutoff=0.3)
    raise AvatarError(f"unknown name '{wanted}'; nearest: {', '.join(near) if near else ', '.join(names[:5])}")
