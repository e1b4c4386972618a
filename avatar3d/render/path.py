"""Poses by name and cameras that move around a head."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import geometry, heads
from avatar3d.core import AvatarError, Camera, HeadModel, Pose, first_of

# The views below are of a head at rest. 0.75 m at 30 degrees shows 40 cm: head, hair and shoulders.
_DISTANCE, _TARGET, _FOV = 0.75, (0.0, -0.045, -0.02), math.radians(30)


@dataclass(frozen=True)
class Turn:
    """A named angle: which joints it turns, around which axis, and how far it may go."""

    joints: Mapping[str, float]
    """Share of the angle for each joint, by the joint's name."""
    axis: tuple[float, float, float]
    limit: float
    """Degrees to each side."""


# A head turn is carried by neck and skull together, as the cervical spine does it.
_BOTH, _EYES = {"neck": 0.4, "head": 0.6}, {"eye_left": 1.0, "eye_right": 1.0}
TURNS: Mapping[str, Turn] = {
    "headYaw": Turn(_BOTH, (0.0, 1.0, 0.0), 60.0),
    "headPitch": Turn(_BOTH, (1.0, 0.0, 0.0), 40.0),
    "headRoll": Turn(_BOTH, (0.0, 0.0, 1.0), 35.0),
    "gazeYaw": Turn(_EYES, (0.0, 1.0, 0.0), 35.0),
    "gazePitch": Turn(_EYES, (1.0, 0.0, 0.0), 25.0),
}
"""Degrees about +y (yaw: towards the head's left), +x (pitch: down) and +z (roll: towards its right shoulder)."""


def neutral(head: HeadModel, count: int | None = None) -> Pose:
    """Returns the head at rest, optionally as a batch of `count` equal poses."""
    pose = Pose(torch.zeros(len(head.expressions)), torch.zeros(len(head.joints), 3), torch.eye(4))
    return pose if count is None else pose.map(lambda x: x.expand(count, *x.shape).clone())


def posed(head: HeadModel | str, settings: Mapping[str, float]) -> Pose:
    """Returns a pose from values by name.

    Args:
        head: The head model, or its name.
        settings: ARKit weights in [0, 1] (`jawOpen`, `eyeBlinkLeft`, ...; `eyeBlink` sets left and right) and angles in
            degrees: `headYaw`, `headPitch`, `headRoll`, `gazeYaw`, `gazePitch`.

    Raises:
        AvatarError: A name that nobody has (the nearest are named), or a value out of range (the range is named).
    """
    model = heads.load(head) if isinstance(head, str) else head
    pose = neutral(model)
    for name, value in settings.items():
        turn = TURNS.get(name)
        if turn is not None:
            _within(name, value, -turn.limit, turn.limit, " degrees")
            for joint, share in turn.joints.items():
                step = torch.tensor(turn.axis) * math.radians(value) * share
                pose.joints[first_of(model.joints, joint)] += step
            continue
        pair = [f"{name}Left", f"{name}Right"]
        if name not in model.expressions and all(x in model.expressions for x in pair):
            wanted = pair
        else:
            first_of([*model.expressions, *TURNS], name)
            wanted = [name]
        _within(name, value, 0.0, 1.0)
        for column in wanted:
            pose.expression[first_of(model.expressions, column)] = value
    return pose


def parse_settings(texts: Sequence[str]) -> dict[str, float]:
    """Returns values by name from texts like `jawOpen=0.6` or `jawOpen=0.6,headYaw=-20`.

    Raises:
        AvatarError: A part without '=' or with something that is not a finite number.
    """
    settings = {}
    for part in (part for text in texts for part in text.split(",") if part.strip()):
        name, equals, value = (x.strip() for x in part.partition("="))
        try:
            settings[name] = float(value)
        except ValueError as error:
            raise AvatarError(f"'{part.strip()}': write name=value, as in jawOpen=0.6") from error
        if not equals or not math.isfinite(settings[name]):
            raise AvatarError(f"'{part.strip()}': the value must be a finite number, as in jawOpen=0.6")
    return settings


def view(yaw: float = 0.0, pitch: float = 0.0, size: tuple[int, int] = (512, 512), zoom: float = 1.0) -> Camera:
    """Returns one camera that looks at a head at rest.

    Args:
        yaw: Degrees around the head; 0 faces it, positive shows its left side.
        pitch: Degrees above eye level, -80 to 80.
        size: Width and height in pixels.
        zoom: 2 shows everything twice as large.

    Raises:
        AvatarError: An angle that is not finite, or out of range.
    """
    around = orbit_views(torch.tensor([math.radians(_finite("yaw", yaw))]), pitch, size, zoom)
    return Camera(around.w2c[0], around.K[0], around.width, around.height)


def orbit_views(yaw: Float[Tensor, " t"], pitch: float, size: tuple[int, int], zoom: float = 1.0) -> Camera:
    """Returns cameras on a circle around a head at rest; `yaw` in radians, `pitch` in degrees, as `view`."""
    _within("pitch", _finite("pitch", pitch), -80.0, 80.0, " degrees")
    _within("zoom", _finite("zoom", zoom), 0.1, 20.0)
    for side in size:
        _within("size", float(side), 1.0, 8192.0, " pixels")
    fov = 2 * math.atan(math.tan(_FOV / 2) / zoom)
    return geometry.orbit(yaw, math.radians(pitch), _DISTANCE, _TARGET, size, fov)


def swing(degrees: float, frames: int) -> Float[Tensor, " t"]:
    """Returns the camera angles in radians of an orbit that loops without a jump.

    Below 360 the camera swings that many degrees to each side and slows down at the ends; 360 is a full turn at
    constant speed.

    Raises:
        AvatarError: Not in 0 to 360 degrees.
    """
    _within("orbit", _finite("orbit", degrees), 0.0, 360.0, " degrees")
    phase = torch.arange(frames) / frames
    if degrees == 360:
        return phase * 2 * math.pi
    return math.radians(degrees) * (phase * 2 * math.pi).sin()


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise AvatarError(f"{name}: {value} is not a finite number")
    return value


def _within(name: str, value: float, low: float, high: float, unit: str = "") -> None:
    if not low <= value <= high:
        raise AvatarError(f"{name}: {value:g} is out of range; it goes from {low:g} to {high:g}{unit}")
