"""The edits of appearance, and their numbers for `--set`."""

from collections.abc import Mapping

from avatar3d.edit.base import Edit, Setting
from avatar3d.edit.look.attach import Attach, Wear
from avatar3d.edit.look.hide import Hide
from avatar3d.edit.look.makeup import Makeup
from avatar3d.edit.look.paint import Paint
from avatar3d.edit.look.recolour import Recolour
from avatar3d.edit.look.relight import Relight
from avatar3d.edit.look.smooth import Smooth
from avatar3d.edit.look.style import Like
from avatar3d.edit.look.texture import Texture

EDITS: tuple[type[Edit], ...] = (Recolour, Makeup, Paint, Texture, Smooth, Hide, Wear, Attach, Relight, Like)


def settings() -> Mapping[str, Setting]:
    """Returns what `avatar3d edit --set name=value` knows of appearance."""
    group = "appearance"
    out = {
        "smooth_skin": Setting(0.0, 1.0, "evens out blemishes", lambda x: Smooth(float(x)), group),
        "blush": Setting(0.0, 1.0, "on the cheeks", lambda x: Makeup("blush", float(x)), group),
        "eyeliner": Setting(0.0, 1.0, "along the lids", lambda x: Makeup("eyeliner", float(x)), group),
        "eyeshadow": Setting(0.0, 1.0, "on the upper lids", lambda x: Makeup("eyeshadow", float(x)), group),
        "lipstick": Setting(0.0, 1.0, "red lips", lambda x: Makeup("lipstick", float(x)), group),
        "freckles": Setting(0.0, 1.0, "over nose and cheeks", lambda x: Makeup("freckles", float(x)), group),
    }
    return out
