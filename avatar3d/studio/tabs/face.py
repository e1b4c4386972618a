"""Expressions, head and gaze by hand."""

from typing import Any

from avatar3d import heads
from avatar3d.render.path import TURNS
from avatar3d.studio.desk import Desk, put, shown
from avatar3d.studio.presets import PRESETS, fits, grouped, spoken

_NONE = "(choose)"
_TOLD = {
    "headYaw": "Turn head",
    "headPitch": "Nod",
    "headRoll": "Tilt head",
    "gazeYaw": "Look sideways",
    "gazePitch": "Look down, up",
}


def build(desk: Desk) -> None:
    """Adds the sliders."""
    gui, document = desk.gui, desk.document
    preset = gui.add_dropdown("Preset", (_NONE, *PRESETS), hint="Emotions and mouth shapes")
    strength = gui.add_slider("Strength", 0.0, 1.0, 0.01, 1.0, hint="Of the preset")
    buttons = gui.add_button_group("All sliders", ("Reset", "Random"))
    linked = gui.add_checkbox("Left and right together", document.linked)
    search = gui.add_text("Search", "", hint="Words of an expression's name, such as: brow left")
    sliders: dict[str, Any] = {}
    folders: dict[str, Any] = {}
    folders["Head and gaze"] = gui.add_folder("Head and gaze")
    with folders["Head and gaze"]:
        for name, turn in TURNS.items():
            sliders[name] = gui.add_slider(_TOLD.get(name, name), -turn.limit, turn.limit, 0.5, 0.0, hint=f"{name}, °")
    for title, names in grouped(heads.ARKIT).items():
        folders[title] = gui.add_folder(f"{title} ({len(names)})")
        with folders[title]:
            for name in names:
                sliders[name] = gui.add_slider(spoken(name), 0.0, 1.0, 0.01, 0.0, hint=name)
    parts = {title: [n for n in sliders if n in TURNS] for title in ("Head and gaze",)}
    parts |= grouped(heads.ARKIT)

    def moved(name: str, value: float) -> None:
        for other, new in document.set(name, value).items():
            put(sliders[other], new)

    for name, handle in sliders.items():
        desk.heard(handle, lambda value, client, name=name: moved(name, value))

    def take(value: Any, client: Any) -> None:
        if preset.value in PRESETS:
            kept = {n: v for n, v in document.values.items() if n in TURNS}
            document.set_all(kept | {n: v * strength.value for n, v in PRESETS[preset.value].items()})

    def all_at_once(value: str, client: Any) -> None:
        document.set_all({} if value == "Reset" else _chance(document.version))
        if value == "Reset":
            put(preset, _NONE)

    def find(value: str, client: Any) -> None:
        for title, names in parts.items():
            found = [n for n in names if fits(n, search.value) or fits(_TOLD.get(n, n), search.value)]
            for name in names:
                shown(sliders[name], name in found)
            shown(folders[title], bool(found))

    desk.heard(preset, take)
    desk.heard(strength, take)
    desk.heard(buttons, all_at_once)
    desk.heard(linked, lambda value, client: document.note(linked=bool(value)))
    desk.heard(search, find)

    def refresh() -> None:
        values = dict(document.values)
        for name, handle in sliders.items():
            put(handle, values.get(name, 0.0))

    desk.refreshes.append(refresh)


def _chance(seed: int) -> dict[str, float]:
    """Returns a mild expression, another for each seed."""
    import torch

    from avatar3d.core import seed_all

    draw = seed_all(seed)
    strong = torch.rand(len(heads.ARKIT), generator=draw) ** 6
    return {n: round(float(v), 2) for n, v in zip(heads.ARKIT, strong, strict=True) if not n.startswith("eyeLook")}
