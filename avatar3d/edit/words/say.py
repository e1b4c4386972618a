"""From words to edits: the grammar first, then the nearest phrase that is known, and never a silent guess."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor

from avatar3d.edit.words.grammar import Found, Read, read
from avatar3d.edit.words.ops import Asked, Op, ops

FLOOR = 0.6
"""Cosine with the nearest phrase below which a clause is not understood."""
_CLEAR = 0.04
"""By how much the nearest phrase must beat the nearest one of the other direction or of another operation."""


@dataclass(frozen=True)
class Understood:
    """One operation that was understood."""

    text: str
    """The clause."""
    op: str
    sign: int
    edit: Mapping[str, Any]
    """As JSON has it; see `avatar3d.edit.from_json`."""
    means: str
    """What it does, in words."""
    how: str = ""
    """The known phrase that it was taken for, with the cosine; empty for the grammar's own."""
    ignored: tuple[str, ...] = ()
    """Words of the clause that were not understood."""


@dataclass(frozen=True)
class Missed:
    """A clause that was not understood."""

    text: str
    why: str
    nearest: tuple[str, ...] = ()
    """What it may have meant."""


@dataclass(frozen=True)
class Heard:
    """What became of a text."""

    understood: tuple[Understood, ...]
    missed: tuple[Missed, ...]
    kept: tuple[str, ...] = ()
    """Clauses that ask to leave something as it is."""

    @property
    def edits(self) -> tuple[Mapping[str, Any], ...]:
        """The edits in the order of the text."""
        return tuple(u.edit for u in self.understood)

    def lines(self) -> list[str]:
        """Returns one line for each thing that was or was not understood."""
        out = []
        for u in self.understood:
            how = f"  (taken for {u.how})" if u.how else ""
            also = f"  (did not understand: {', '.join(u.ignored)})" if u.ignored else ""
            out.append(f"'{u.text}': {u.means}{_numbers(u.edit)}{how}{also}")
        out += [f"'{text}': nothing to do" for text in self.kept]
        for m in self.missed:
            near = f"; nearest: {', '.join(m.nearest)}" if m.nearest else ""
            out.append(f"'{m.text}': not understood, {m.why}{near}")
        return out


def _numbers(edit: Mapping[str, Any]) -> str:
    """Returns an edit's numbers in brackets, if they are few."""
    values = edit.get("values", {"amount": edit["amount"]} if "amount" in edit else {})
    return f" [{', '.join(f'{n} {v:+g}' for n, v in values.items())}]" if 0 < len(values) <= 3 else ""


def understand(text: str, encoder: bool = True) -> Heard:
    """Returns the edits that a sentence in English asks for, and what was not understood.

    Args:
        text: Such as "older, wider smile, green eyes, thinner nose, a bit angry". Left and right are the person's.
        encoder: Whether clauses that the grammar cannot read are compared with known phrases by a sentence encoder,
            which is fetched once (83 MB).

    Raises:
        AvatarError: The encoder is needed and cannot be had.

    >>> understand("thinner nose", encoder=False).edits
    ({'kind': 'shape', 'values': {'nose_width': -0.5}},)
    """
    understood: list[Understood] = []
    missed: list[Missed] = []
    kept: list[str] = []
    for clause in read(text):
        if clause.kept:
            kept.append(clause.text)
            continue
        found = [(f, "") for f in clause.found]
        if not found:
            if not encoder:
                missed.append(Missed(clause.text, _why(clause)))
                continue
            guess = _guessed(clause)
            if isinstance(guess, Missed):
                missed.append(guess)
                continue
            found = [guess]
        for one, how in found:
            said = _said(clause, one, how)
            if isinstance(said, Missed):
                missed.append(said)
            elif all((u.op, u.edit) != (said.op, said.edit) for u in understood):
                understood.append(said)
    return Heard(tuple(understood), tuple(missed), tuple(kept))


def _said(clause: Read, one: Found, how: str) -> Understood | Missed:
    op: Op = ops()[one.op]
    means = op.plus if one.sign > 0 else op.minus
    if not means:
        return Missed(clause.text, f"'{op.plus}' cannot be taken back", ("avatar3d edit --undo 1",))
    asked = Asked(one.sign, one.amount, one.value, one.colour, one.region)
    if one.colour:
        means = f"{one.region or one.op} {one.colour}"
    unknown = () if how else clause.unknown
    return Understood(clause.text, one.op, one.sign, op.make(asked), means, how, unknown)


def _why(clause: Read) -> str:
    if clause.unknown:
        return f"unknown words: {', '.join(clause.unknown)}"
    return "it does not say what to change, or how"


@functools.cache
def _bank() -> tuple[tuple[tuple[str, int, str], ...], Tensor]:
    """Returns known phrases with operation and direction, and their vectors."""
    from avatar3d.edit.words.encoder import encode

    rows = []
    for line in files("avatar3d.edit.words").joinpath("data/bank.tsv").read_text(encoding="utf-8").splitlines():
        op, phrase = line.split("\t")
        rows.append((op[:-1], 1 if op.endswith("+") else -1, phrase))
    for name, op in ops().items():
        if not name.startswith("colour:"):
            rows.append((name, 1, op.plus))
            if op.minus and not op.minus.startswith("the opposite of"):
                rows.append((name, -1, op.minus))
    return tuple(rows), encode([phrase for _, _, phrase in rows])


def _guessed(clause: Read) -> tuple[Found, str] | Missed:
    """Returns the operation of the nearest known phrase, or why there is none.

    The phrase gives the operation, and its direction unless the clause's own words turn it ("less", "no", "not").
    """
    from avatar3d.edit.words.encoder import encode

    rows, vectors = _bank()
    near = vectors @ encode([clause.text])[0]
    order = torch.argsort(near, descending=True, stable=True).tolist()
    op, sign, phrase = rows[order[0]]
    best = float(near[order[0]])
    names = tuple(dict.fromkeys(rows[i][2] for i in order[:3]))
    if best < FLOOR:
        return Missed(clause.text, _why(clause), names)
    other = max((float(near[i]) for i, row in enumerate(rows) if (row[0], row[1]) == (op, -sign)), default=-1.0)
    rival = max(float(near[i]) for i, row in enumerate(rows) if row[0] != op)
    if best - other < _CLEAR:
        return Missed(clause.text, "it may mean either direction", names)
    if best - rival < _CLEAR / 4:
        return Missed(clause.text, "it may mean several things", names)
    turned = -1 if clause.sign < 0 and not clause.found else 1
    return Found(op, sign * turned, clause.amount), f"'{phrase}', {best:.2f}"
