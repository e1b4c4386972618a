"""Everything that is done to one performance, as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from avatar3d.core import Motion
from avatar3d.edit.acting.adjust import Adjustment, adjusted, names_of
from avatar3d.edit.acting.emotion import Cue, EmotionOptions, emoted
from avatar3d.edit.acting.style import Style, styled
from avatar3d.edit.acting.transfer import transferred


@dataclass(frozen=True)
class Acting:
    """Edits of a performance; `acted` applies them in the order of the fields."""

    parts: Mapping[str, Motion] = field(default_factory=dict)
    """Where parts of the face come from (`transfer.PARTS`): motions as they shall be shown."""
    adjustments: Mapping[str, Adjustment] = field(default_factory=dict)
    """By name (`adjust.names_of`)."""
    style: Style | None = None
    style_strength: float = 1.0
    emotions: tuple[Cue, ...] = ()
    emotion: EmotionOptions = field(default_factory=EmotionOptions)
    seed: int = 0
    """Of the places of new blinks."""

    def __bool__(self) -> bool:
        """Whether anything is done."""
        return bool(self.parts or self.adjustments or self.emotions or self.style is not None)

    def check(self) -> None:
        """Raises an `AvatarError` for a name or number that `acted` would refuse."""
        for name, change in self.adjustments.items():
            names_of(name)
            change.check(name)


def acted(motion: Motion, acting: Acting, head: str = "anny") -> Motion:
    """Returns the performance with all edits applied.

    Raises:
        AvatarError: As `transferred`, `adjusted`, `styled` and `emoted`.
    """
    for part, other in acting.parts.items():
        motion = transferred(motion, part, other, head)
    if acting.adjustments:
        motion = adjusted(motion, acting.adjustments, head=head)
    if acting.style is not None:
        motion = styled(motion, acting.style, acting.style_strength, acting.seed, head)
    return emoted(motion, acting.emotions, acting.emotion, head)
