"""Changes of the avatar: regions, single numbers, every kind of edit there is, words, undo and redo."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError
from avatar3d.studio.controls import control
from avatar3d.studio.desk import Desk, put, shown
from avatar3d.studio.drawing import pick

_NONE = "(none)"


def build(desk: Desk) -> None:
    """Adds history, regions, numbers, kinds and words."""
    _history(desk)
    _words(desk)
    _regions(desk)
    _numbers(desk)
    _kinds(desk)


def _history(desk: Desk) -> None:
    gui, document = desk.gui, desk.document
    undo = gui.add_button("Undo", icon="arrow-back-up")
    redo = gui.add_button("Redo", icon="arrow-forward-up")
    told = gui.add_markdown("No changes yet.")

    def back(value: Any, client: Any) -> None:
        if not document.undo():
            raise AvatarError("nothing to undo")

    def again(value: Any, client: Any) -> None:
        if not document.redo():
            raise AvatarError("nothing to redo")

    desk.heard(undo, back)
    desk.heard(redo, again)

    def refresh() -> None:
        past, future = document.steps
        if undo.disabled != (past == 0):
            undo.disabled = past == 0
        if redo.disabled != (future == 0):
            redo.disabled = future == 0
        edits = document.avatar.edits if document.avatar is not None else ()
        lines = [f"{i + 1}. {_line(edit)}" for i, edit in enumerate(edits)][-8:]
        text = "\n".join(["**Changes of this avatar**", "", *lines]) if lines else "No changes yet."
        if told.content != text:
            told.content = text

    desk.refreshes.append(refresh)


def _line(edit: Any) -> str:
    rest = {k: v for k, v in edit.items() if k != "kind"}
    text = json.dumps(rest, default=str)
    return f"{edit.get('kind', '?')} `{text if len(text) < 70 else text[:67] + '...'}`"


def apply(desk: Desk, *edits: Any) -> None:
    """Does edits as one step."""
    from avatar3d.edit import edit

    document = desk.document
    document.attempt(None)
    document.change(edit(document.known(), *edits))


def _words(desk: Desk) -> None:
    gui, document = desk.gui, desk.document
    with gui.add_folder("In words"):
        text = gui.add_text("Say what to change", "", multiline=True, hint="Such as: older, green eyes, a thinner nose")
        show = gui.add_button("Show", hint="Show it and how it was understood; apply nothing yet")
        act = gui.add_button("Apply", icon="wand")
        told = gui.add_markdown("")

    def asked() -> tuple[Mapping[str, Any], ...]:
        edits, lines = in_words(text.value)
        told.content = "\n".join(f"- {line}" for line in lines)
        if not edits:
            raise AvatarError("; ".join(lines) or "nothing to change in these words")
        return edits

    def shown_first(value: Any, client: Any) -> None:
        from avatar3d.edit import edit

        document.attempt(edit(document.known(), *asked()))

    desk.heard(show, shown_first)
    desk.heard(act, lambda value, client: apply(desk, *asked()))


def in_words(words: str) -> tuple[tuple[Mapping[str, Any], ...], list[str]]:
    """Returns the edits that words ask for, and a line for each thing that was or was not understood.

    What the grammar cannot read is compared with known phrases, where the encoder for that can be had.

    Raises:
        AvatarError: No words.
    """
    from avatar3d.edit.words import understand

    if not words.strip():
        raise AvatarError("write what shall change, such as: older, green eyes, a thinner nose")
    heard = understand(words, encoder=False)
    if heard.missed:
        with contextlib.suppress(AvatarError):
            heard = understand(words)
    return heard.edits, heard.lines()


def _regions(desk: Desk) -> None:
    gui, document = desk.gui, desk.document
    with gui.add_folder("Region"):
        region = gui.add_dropdown("Show", (_NONE, *heads.load("anny").regions), hint="Its weights colour the head")
        click = gui.add_checkbox("Click on the head to choose", False)

    def chosen(value: Any, client: Any) -> None:
        document.note(region=None if region.value == _NONE else region.value)

    def clicked(event: Any) -> None:
        visitor = desk.stream.visitor(event.client.client_id)
        scene = document.scene()
        if visitor is None or visitor.eye is None or scene is None:
            return
        width, height = visitor.size
        camera = visitor.eye.camera(width, height)
        x, y = event.screen_pos
        found = pick(scene.avatar, scene.pose, camera, x * width, y * height)
        document.note(region=found)
        desk.say("Region", found or "none there", event.client)

    def armed(value: Any, client: Any) -> None:
        if click.value:
            desk.server.scene.on_click()(clicked)
        else:
            desk.server.scene.remove_click_callback(clicked)

    desk.heard(region, chosen)
    desk.heard(click, armed)
    desk.refreshes.append(lambda: put(region, document.region or _NONE))


def _numbers(desk: Desk) -> None:
    from avatar3d.edit import settings

    gui, document = desk.gui, desk.document
    known = settings()
    groups: dict[str, list[str]] = {}
    for name, one in known.items():
        groups.setdefault(one.group or "Other", []).append(name)
    if not groups:
        return
    with gui.add_folder("Numbers"):
        group = gui.add_dropdown("Group", tuple(groups))
        search = gui.add_text("Find", "", hint="Words of what it does, in all groups")
        name = gui.add_dropdown("What", tuple(groups[group.value]))
        value = gui.add_slider("How much", -1.0, 1.0, 0.01, 0.0)
        told = gui.add_markdown("")
        act = gui.add_button("Apply", icon="check")
        drop = gui.add_button("Drop", icon="x", hint="Do not apply what is shown")

    def listed() -> None:
        words = search.value.lower().split()
        names = [n for n in (known if words else groups[group.value]) if _matches(n, known[n], words)]
        name.options = tuple(names) or (_NONE,)
        picked()

    def picked() -> None:
        one = known.get(name.value)
        if one is None:
            return
        value.min, value.max = min(one.low, value.value), max(one.high, value.value)
        value.value = min(max(0.0, one.low), one.high)
        value.min, value.max = one.low, one.high
        told.content = f"{one.what} ({one.low:g} to {one.high:g})"
        document.attempt(None)

    def tried() -> Avatar | None:
        from avatar3d.edit import edit, setting

        return edit(document.known(), setting(name.value, value.value)) if name.value in known and value.value else None

    def applied(_: Any, client: Any) -> None:
        from avatar3d.edit import setting

        if name.value not in known:
            raise AvatarError("choose what to change")
        apply(desk, setting(name.value, value.value))
        picked()

    desk.heard(group, lambda v, c: listed())
    desk.heard(search, lambda v, c: listed())
    desk.heard(name, lambda v, c: picked())
    desk.heard(value, lambda v, c: document.attempt(tried()))
    desk.heard(act, applied)
    desk.heard(drop, lambda v, c: picked())
    picked()


def _matches(name: str, setting: Any, words: list[str]) -> bool:
    text = f"{name} {setting.what} {setting.group}".lower()
    return all(word in text for word in words)


def _kinds(desk: Desk) -> None:
    from avatar3d.edit import KINDS, describe

    gui, document = desk.gui, desk.document
    if not KINDS:
        return
    with gui.add_folder("All kinds of changes", expand_by_default=False):
        kind = gui.add_dropdown("Kind", tuple(sorted(KINDS)))
        example = gui.add_dropdown("Example", (_NONE,))
        told = gui.add_markdown("")
        form = gui.add_folder("Values")
        preview = gui.add_button("Show", hint="Show it, apply nothing yet")
        act = gui.add_button("Apply", icon="check")
        drop = gui.add_button("Drop", icon="x")
    fields: dict[str, Any] = {}
    held: list[Any] = []

    def rebuilt(values: Any = None) -> None:
        made = KINDS[kind.value]
        about = describe(made)
        told.content = about["what"]
        with desk.filling, form:
            for handle in held:
                handle.remove()
            held.clear()
            fields.clear()
            for row in about["fields"]:
                handle, read = control(gui, row, (values or {}).get(row["name"]), document.region)
                held.append(handle)
                fields[row["name"]] = read

    def chosen(_: Any, client: Any) -> None:
        example.options = (_NONE, *KINDS[kind.value].examples())
        rebuilt()

    def exampled(_: Any, client: Any) -> None:
        examples = KINDS[kind.value].examples()
        if example.value in examples:
            rebuilt(examples[example.value].to_json())

    def asked() -> dict[str, Any]:
        values = {name: read() for name, read in fields.items()}
        return {"kind": kind.value, **{name: value for name, value in values.items() if value is not ...}}

    def shown_first(_: Any, client: Any) -> None:
        from avatar3d.edit import edit

        document.attempt(edit(document.known(), asked()))

    desk.heard(kind, chosen)
    desk.heard(example, exampled)
    desk.heard(preview, shown_first)
    desk.heard(act, lambda v, c: apply(desk, asked()))
    desk.heard(drop, lambda v, c: document.attempt(None))
    example.options = (_NONE, *KINDS[kind.value].examples())
    rebuilt()
    shown(form, True)
