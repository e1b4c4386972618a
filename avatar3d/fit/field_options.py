"""Settings of a field's fit."""

from dataclasses import dataclass, field, replace
from typing import Any

from avatar3d.core import AvatarError, first_of
from avatar3d.fields import FieldSettings

_STEPS = {"fast": 1600, "quality": 6000}


@dataclass(frozen=True)
class FieldOptions:
    """How a field is fitted."""

    steps: int = 1600
    """Optimisation steps."""
    rays: int = 4096
    """Rays of a step, all of one frame."""
    scaffold: int = 300
    """Steps of a quick fit of splats before it, which corrects the tracked poses; 0 for none."""
    splats: int = 14000
    """Splats of that fit, laid on the head model's texture."""
    hold_out: float = 0.0
    """Share of the clip's last frames that the fit never looks at."""
    max_frames: int = 400
    """Most frames kept in memory."""
    features: float = 3.0
    """How much oftener rays look at the mouth and the eyes."""
    refine_pose: bool = True
    """Go on correcting poses while fitting."""
    seed: int = 0
    """Seed of everything random."""
    checkpoint_every: int = 200
    """Steps between checkpoints, where a checkpoint file is asked for."""
    settings: FieldSettings = field(default_factory=FieldSettings)
    """How the field is made."""

    def check(self) -> None:
        """Raises an `AvatarError` that names the first setting out of range."""
        for name in ("steps", "rays", "splats", "max_frames", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise AvatarError(f"fit option {name} is {getattr(self, name)}: give 1 or more")
        if not 0 <= self.hold_out <= 0.9:
            raise AvatarError(f"fit option hold_out is {self.hold_out}: give a number from 0 to 0.9")
        if self.scaffold < 0 or self.features < 0:
            raise AvatarError("fit options scaffold and features must not be negative")
        if self.settings.covers == "hair" and not self.scaffold:
            raise AvatarError("a hybrid needs its splats: give scaffold 1 or more")


def field_preset(name: str, body: str, condition: str = "expression", encoding: str = "hash") -> FieldOptions:
    """Returns the options of a preset.

    Args:
        name: `fast` or `quality`.
        body: `field`, or `hybrid`: splats for skin, mouth and clothes, a field for the hair.
        condition: `expression` or `audio`.
        encoding: `hash` or `planes`.

    Raises:
        AvatarError: No such preset or body, or a hybrid that would listen to sound.
    """
    first_of(tuple(_STEPS), name)
    first_of(("field", "hybrid"), body)
    changes: dict[str, Any] = {"encoding": encoding}
    if body == "hybrid":
        if condition == "audio":
            raise AvatarError("a hybrid's mouth is of splats, which follow expressions: give --body field for audio")
        hybrid = FieldOptions(steps=_STEPS[name] // 2, scaffold=800, splats=30000)
        return replace(hybrid, settings=FieldSettings(covers="hair", **changes))
    if condition == "audio":
        from avatar3d.speech.heard import WIDTH

        changes |= {"condition": "audio", "heard": WIDTH}
    return FieldOptions(steps=_STEPS[name], settings=FieldSettings(**changes))
