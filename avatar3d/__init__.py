"""From photos or a video of a person to a personal 3D Gaussian head.

Every verb of the command line is a function of the same name, and its package at the same time:

    import avatar3d

    clip = avatar3d.capture("clip.mp4")
    track = avatar3d.track(clip)
    avatar = avatar3d.fit(clip, track)
    avatar3d.save(avatar, "me.a3d")

Importing this package loads nothing heavy: names are fetched on first use (PEP 562).
"""

import importlib
import os
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

# libgomp's threads spin at barriers by default and take the cores from our own pool: on a busy two-core machine a fit
# was 20 times slower. It reads this when torch loads it, so it has to be said before that.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"

if TYPE_CHECKING:  # what a type checker and an editor see; at run time `__getattr__` below does the same lazily
    from avatar3d.capture import capture as capture
    from avatar3d.core import Avatar as Avatar
    from avatar3d.core import AvatarError as AvatarError
    from avatar3d.core import Basis as Basis
    from avatar3d.core import Binding as Binding
    from avatar3d.core import Camera as Camera
    from avatar3d.core import Clip as Clip
    from avatar3d.core import Gaussians as Gaussians
    from avatar3d.core import HeadModel as HeadModel
    from avatar3d.core import Motion as Motion
    from avatar3d.core import Pose as Pose
    from avatar3d.core import Render as Render
    from avatar3d.core import Track as Track
    from avatar3d.demo import demo as demo
    from avatar3d.distil import distil as distil
    from avatar3d.doctor import doctor as doctor
    from avatar3d.drive import drive as drive
    from avatar3d.edit import edit as edit
    from avatar3d.edit import undo as undo
    from avatar3d.export import export as export
    from avatar3d.export import import_avatar as import_avatar
    from avatar3d.fit import fit as fit
    from avatar3d.geometry import orbit as orbit
    from avatar3d.lip_scores import score_lips as score_lips
    from avatar3d.pipeline import make as make
    from avatar3d.pipeline import score_fit as score_fit
    from avatar3d.render import render as render
    from avatar3d.render.path import posed as posed
    from avatar3d.render.path import view as view
    from avatar3d.render.video import write_video as write_video
    from avatar3d.sample import sample as sample
    from avatar3d.store import load as load
    from avatar3d.store import load_track as load_track
    from avatar3d.store import save as save
    from avatar3d.track import track as track

_VERBS = ("capture", "track", "fit", "render", "drive", "demo", "doctor", "edit", "export", "sample", "distil")
_HOME = {
    **dict.fromkeys(
        (
            "Avatar",
            "AvatarError",
            "Basis",
            "Binding",
            "Camera",
            "Clip",
            "Gaussians",
            "HeadModel",
            "Motion",
            "Pose",
            "Render",
            "Track",
        ),
        "core",
    ),
    **dict.fromkeys(("load", "load_track", "save"), "store"),
    **dict.fromkeys(("make", "score_fit"), "pipeline"),
    "import_avatar": "export",
    "undo": "edit",
    "orbit": "geometry",
    "score_lips": "lip_scores",
    "posed": "render.path",
    "view": "render.path",
    "write_video": "render.video",
}

__all__ = sorted([*_VERBS, *_HOME])  # pyright: ignore[reportUnsupportedDunderAll]


class _Verb(ModuleType):
    """A package that can be called: `avatar3d.fit(...)` is `avatar3d.fit.fit(...)`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(self, self.__name__.rpartition(".")[2])(*args, **kwargs)


class _Package(ModuleType):
    """Makes each verb callable at the moment when the import system attaches it here, however it was imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _VERBS and isinstance(value, ModuleType):
            value.__class__ = _Verb
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name in _VERBS:
        return importlib.import_module(f"{__name__}.{name}")
    if name in _HOME:
        return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module '{__name__}' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
