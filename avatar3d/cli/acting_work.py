"""What the arguments of `avatar3d drive` say of edits of the performance."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from avatar3d import motions, perform
from avatar3d.core import Avatar, AvatarError, Motion
from avatar3d.drive.retarget import RetargetOptions
from avatar3d.edit.acting import emotion
from avatar3d.edit.acting.acting import Acting
from avatar3d.edit.acting.adjust import Adjustment
from avatar3d.edit.acting.style import style_of
from avatar3d.edit.acting.transfer import PARTS
from avatar3d.render.path import parse_settings

if TYPE_CHECKING:
    from pathlib import Path

    from avatar3d.cli.drive_verbs import Drive

_WHOLE = ("mouth_from", "upper_from", "pose_from", "gain", "offset", "smooth", "clamp", "style", "emotion")


def acting_of(given: "Drive", avatar: Avatar | None, options: RetargetOptions) -> Acting:
    """Returns the edits that were asked for, references as the avatar shows them.

    Raises:
        AvatarError: A name, number or file that cannot be used; or edits of a live performance.
    """
    asked = [name for name in _WHOLE if getattr(given, name)]
    if given.live is not None and asked:
        raise AvatarError(f"--{asked[0].replace('_', '-')} needs the whole performance; it does not go with --live")
    if not 0 <= given.style_strength <= 2:
        raise AvatarError(f"--style-strength {given.style_strength:g}: give a number from 0 to 2")
    acting = Acting(
        adjustments=_adjustments(given),
        style_strength=given.style_strength,
        emotions=emotion.parse(given.emotion) if given.emotion is not None else (),
        seed=given.seed,
    )
    acting.check()
    parts = {part: getattr(given, f"{part}_from") for part in PARTS}
    shown = {part: _shown(path, avatar, options) for part, path in parts.items() if path is not None}
    style = None if given.style is None else style_of(_shown(given.style, avatar, options))
    return replace(acting, parts=shown, style=style)


def _shown(path: "Path", avatar: Avatar | None, options: RetargetOptions) -> Motion:
    return perform.whole(perform.of_motion(motions.read(path), avatar, options))


def _adjustments(given: "Drive") -> dict[str, Adjustment]:
    by: dict[str, Adjustment] = {}
    for field in ("gain", "offset", "smooth"):
        for name, value in parse_settings(getattr(given, field)).items():
            by[name] = replace(by.get(name, Adjustment()), **{field: value})
    for name, (low, high) in _clamps(given.clamp).items():
        by[name] = replace(by.get(name, Adjustment()), low=low, high=high)
    return by


def _clamps(texts: Sequence[str]) -> dict[str, tuple[float, float]]:
    found = {}
    for text in texts:
        name, _, span = text.partition("=")
        low, slash, high = span.partition("/")
        try:
            values = float(low), float(high)
        except ValueError:
            values = math.nan, math.nan
        if not slash or not all(map(math.isfinite, values)):
            raise AvatarError(f"--clamp {text}: write NAME=LOWEST/HIGHEST, as in mouthSmile=0/0.6")
        found[name.strip()] = values
    return found
