"""What `avatar3d edit` does: reads what was asked for, changes the avatar, writes it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avatar3d import edit as editing
from avatar3d import store
from avatar3d.cli import look_flags
from avatar3d.cli.console import Console
from avatar3d.cli.say_work import said
from avatar3d.cli.work import check_output
from avatar3d.core import AvatarError
from avatar3d.edit.acting import units

if TYPE_CHECKING:
    from avatar3d.cli.edit_verbs import Edit


def run_edit(given: "Edit", console: Console) -> Mapping[str, Any]:
    """Changes an avatar, or shows what could be changed, or what was."""
    if given.list:
        return _list(console)
    if given.avatar is None and not given.say:
        raise AvatarError("give an avatar to edit, or --list to see what there is")
    words = said(given.say, console)
    wanted = [*asked(given), *words.edits]
    if given.output is None and given.say:
        return words.report
    if given.avatar is None:
        raise AvatarError("give an avatar to edit")
    if given.output is None:
        if wanted or given.undo or given.final or look_flags.asks(given):
            raise AvatarError("give a file to write with -o")
        if given.bake_texture is not None:
            return look_flags.bake(store.load(given.avatar), given.bake_texture, given.texture_size, console)
        return _history(given.avatar, console)
    check_output(given.output, ".a3d")
    avatar = store.load(given.avatar)
    if given.undo is not None:
        avatar = editing.undo(avatar, given.undo)
    avatar = editing.edit(avatar, *wanted, *look_flags.look_edits(given, avatar, console))
    if given.bake_texture is not None:
        look_flags.bake(avatar, given.bake_texture, given.texture_size, console)
    if given.final:
        avatar = editing.settled(avatar)
    store.save(avatar, given.output)
    console.note(f"{given.output}: {len(avatar.edits)} edit{'' if len(avatar.edits) == 1 else 's'}")
    out = {"output": str(given.output), "edits": [dict(one) for one in avatar.edits], "bytes": _size(given.output)}
    return {**out, **words.report} if given.say else out


def asked(given: "Edit") -> list[editing.Edit]:
    """Returns the edits that the arguments ask for: those of `--do` first, then by option, each in its order.

    Raises:
        AvatarError: What cannot be read, unknown names, values out of range.
    """
    out = [one for text in given.do for one in _given(text)]
    out += [editing.setting(name, value) for text in given.set for name, value in numbers("--set", text)]
    for text in given.hold:
        values = dict(numbers("--hold", text))
        out.append(editing.from_json({"kind": "face", "values": values, "hold": 1.0}, "--hold"))
    for text in given.gain:
        out.append(editing.from_json({"kind": "gain", "values": dict(numbers("--gain", text))}, "--gain"))
    out += [_mix(text) for text in given.mix]
    return out


def _mix(text: str) -> editing.Edit:
    from avatar3d.edit.shape import Mix

    file, equals, rest = text.rpartition("=")
    amount, _, regions = rest.partition(":")
    try:
        share = float(amount)
    except ValueError as error:
        raise AvatarError(f"--mix {text}: write FILE=amount or FILE=amount:region,region") from error
    if not equals or not file:
        raise AvatarError(f"--mix {text}: write FILE=amount or FILE=amount:region,region")
    return Mix.of(store.load(file), share, tuple(name.strip() for name in regions.split(",") if name.strip()))


def numbers(option: str, text: str) -> list[tuple[str, float]]:
    """Returns names and numbers from a text like `jawOpen=0.6,AU12=C`.

    Raises:
        AvatarError: A part without '=', or with something that is neither a finite number nor FACS's letter.
    """
    out = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, value = (x.strip() for x in part.partition("="))
        try:
            number = units.intensity(value) if len(value) == 1 and value.isalpha() else float(value)
        except ValueError as error:
            raise AvatarError(f"{option} {part}: write name=number, as in jawOpen=.3 or AU12=C") from error
        if not equals or not abs(number) < float("inf"):
            raise AvatarError(f"{option} {part}: write name=number, as in jawOpen=.3 or AU12=C")
        out.append((name, number))
    return out


def _given(text: str) -> list[editing.Edit]:
    """Returns the edits of a JSON text or file."""
    where = "--do"
    if not text.lstrip().startswith(("{", "[")):
        where = text
        try:
            text = Path(text).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise AvatarError(f"--do {where}: no such file of edits; give a file or a JSON object") from error
    try:
        value = json.loads(text)
    except ValueError as error:
        raise AvatarError(f"{where}: not JSON ({error})") from error
    items = value if isinstance(value, list) else [value]
    return [editing.from_json(item, where if len(items) == 1 else f"{where}, edit {i}") for i, item in enumerate(items)]


def _history(path: Path, console: Console) -> Mapping[str, Any]:
    avatar = store.load(path)
    console.note(f"{path}: {len(avatar.edits)} edit{'' if len(avatar.edits) == 1 else 's'}")
    for i, one in enumerate(avatar.edits):
        shown = json.dumps(dict(one), ensure_ascii=False)
        console.note(f"{i + 1:>3}  {shown if len(shown) < 160 else shown[:157] + '...'}")
    return {"avatar": str(path), "edits": [dict(one) for one in avatar.edits], "undo": avatar.original is not None}


def _list(console: Console) -> Mapping[str, Any]:
    known = editing.settings()
    group = None
    for name, setting in known.items():
        if setting.group != group:
            group = setting.group
            console.note(f"--set, {group}:")
        console.note(f"  {name:<28} {setting.low:>6g} to {setting.high:<6g} {setting.what}")
    console.note("--do, kinds of edits:")
    kinds = [editing.describe(kind) for kind in editing.KINDS.values()]
    for kind in kinds:
        console.note(f"  {kind['kind']:<16} {kind['what']}")
        for field in kind["fields"]:
            limits = f" {field['range'][0]:g} to {field['range'][1]:g}" if "range" in field else ""
            console.note(f"    {field['name']:<14} {field['type']}{limits}: {field['what']}")
    rows = {n: {"low": s.low, "high": s.high, "what": s.what, "group": s.group} for n, s in known.items()}
    return {"settings": rows, "kinds": kinds}


def _size(path: Path) -> int:
    return path.stat().st_size
