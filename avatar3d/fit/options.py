"""Settings of a fit, and the presets that fill them."""

import difflib
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from avatar3d.core import AvatarError

# In a source tree the presets lie beside the package; an installed package carries them inside.
FOLDERS = (Path(__file__).resolve().parents[2] / "configs", Path(__file__).resolve().parents[1] / "configs")


@dataclass(frozen=True)
class FitOptions:
    """How an avatar is fitted."""

    steps: int = 1400
    """Optimisation steps on a clip."""
    photo_steps: int = 250
    """Optimisation steps on a single photo."""
    batch: int = 2
    """Frames a step."""
    splats: int = 36000
    """Splats laid on the head model's texture; hair and clothes add to them."""
    blendshapes: int = 16
    """Splat blendshapes driven by the pose; 0 for none (a photo has none)."""
    hold_out: float = 0.0
    """Share of the clip's last frames that the fit never looks at, to score it on."""
    max_frames: int = 400
    """Most frames kept in memory; longer clips are thinned evenly."""
    coarse: float = 0.4
    """Share of the steps done at half resolution."""
    pace: float = 3.0
    """Multiplies the learning rates of splats on a clip; fewer steps need more."""
    ssim: float = 0.2
    """Weight of the structural term of the loss, in [0, 1]."""
    perceptual: float = 0.0
    """Weight of LPIPS (AlexNet) on a crop in each of the last steps on a clip; fetches its weights when not 0."""
    features: float = 2.0
    """Extra weight of the pixels around the mouth and the eyes."""
    refine_pose: bool = True
    """Correct the tracked pose of each training frame a little while fitting."""
    seed: int = 0
    """Seed of everything random."""
    checkpoint_every: int = 100
    """Steps between checkpoints, where a checkpoint file is asked for."""

    def check(self) -> None:
        """Raises an `AvatarError` that names the first setting out of range."""
        positive = ("steps", "photo_steps", "batch", "splats", "max_frames", "checkpoint_every")
        for name in positive:
            if getattr(self, name) < 1:
                raise AvatarError(f"fit option {name} is {getattr(self, name)}: give 1 or more")
        for name in ("hold_out", "coarse", "ssim"):
            if not 0 <= getattr(self, name) <= 1:
                raise AvatarError(f"fit option {name} is {getattr(self, name)}: give a number between 0 and 1")
        if self.pace <= 0:
            raise AvatarError(f"fit option pace is {self.pace}: give a number above 0")
        if self.hold_out > 0.9:
            raise AvatarError(f"fit option hold_out is {self.hold_out}: leave at least a tenth of the clip to fit to")
        if min(self.blendshapes, self.features, self.perceptual) < 0:
            raise AvatarError("fit options blendshapes, features and perceptual must not be negative")


def preset(name: str, **changes: Any) -> FitOptions:
    """Returns the options of a preset by name (`fast`, `quality`) or of a TOML file of the same keys.

    Args:
        name: Name of a file in `configs/` without its ending, or a path that ends in `.toml`.
        changes: Options that replace those of the preset.

    Raises:
        AvatarError: No such preset, a key that is not an option, or a value of the wrong type or out of range.
    """
    path = _find(name)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise AvatarError(f"{path}: cannot be read as TOML ({error})") from error
    options = _strict(values, str(path))
    options = _strict(changes, "fit options", options)
    options.check()
    return options


def _find(name: str) -> Path:
    if name.endswith(".toml"):
        return Path(name)
    known = sorted(p for folder in FOLDERS if folder.is_dir() for p in folder.glob("*.toml"))
    for path in known:
        if path.stem == name:
            return path
    names = ", ".join(dict.fromkeys(p.stem for p in known))
    raise AvatarError(f"unknown preset '{name}'; there are: {names}")


def _strict(values: dict[str, Any], where: str, base: FitOptions | None = None) -> FitOptions:
    base = base or FitOptions()
    types = {f.name: type(getattr(FitOptions(), f.name)) for f in fields(FitOptions)}
    for key, value in values.items():
        if key not in types:
            near = difflib.get_close_matches(key, types, n=1, cutoff=0)
            raise AvatarError(f"{where}: unknown option '{key}'; did you mean '{near[0]}'?")
        wanted = types[key]
        # bool is an int to isinstance, and an int is a good float.
        fits = type(value) is wanted or (wanted is float and type(value) is int)
        if not fits:
            raise AvatarError(f"{where}: option '{key}' is {value!r}; a value of type {wanted.__name__} is needed")
    return replace(base, **{key: types[key](value) for key, value in values.items()})
