"""One person's motion on another's avatar: relative to both their neutrals, and no further than the avatar can show."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import geometry, heads
from avatar3d.core import Avatar, AvatarError, HeadModel, Motion, Pose, first_of
from avatar3d.motions.blend import REGIONS, region_of
from avatar3d.motions.neutral import Neutral, neutral_of

_MARGIN = 0.25
"""How much more of an expression an avatar may show than its clip did."""
_TURN_MARGIN = 0.1
"""Radians that joints may turn beyond what the clip showed."""
_TURN_MOST = {"neck": 0.5, "head": 0.7, "eye_left": 0.6, "eye_right": 0.6}
"""Radians about each axis that a joint turns at most; others, 0.3."""
_BODY_MARGIN, _BODY_MOST = (0.1, 0.1, 0.1, 0.04, 0.03, 0.06), (0.35, 0.5, 0.3, 0.2, 0.2, 0.3)
"""What the body may do beyond the clip, and at most: radians about x, y and z, then metres."""
_OPPOSITE = (
    ("jawLeft", "jawRight"),
    ("mouthLeft", "mouthRight"),
    *((f"eyeLookOut{s}", f"eyeLookIn{s}") for s in ("Left", "Right")),
    *((f"eyeLookUp{s}", f"eyeLookDown{s}") for s in ("Left", "Right")),
)
"""Expressions that are two ends of one axis: their difference is what is transferred."""
_FREE = ("eyeBlink", "eyeLook")
"""Expressions that every avatar can show in full, whatever its clip did."""


@dataclass(frozen=True)
class RetargetOptions:
    """What of another motion an avatar takes over, and how."""

    relative: bool = True
    """Transfer differences from the driver's neutral to the avatar's, not the values themselves."""
    expression: bool = True
    """Take over mouth, brows and lids."""
    gaze: bool = True
    """Take over the eyes."""
    pose: bool = True
    """Take over the turns of the head and the motion of the body."""
    strength: Mapping[str, float] = field(default_factory=dict)
    """By region (`blend.REGIONS`: mouth, jaw, brows, lids, gaze, head, ...): 1 as it is, 0 for none."""
    clamp: bool = True
    """Keep to what the avatar can show: the range of its own clip with a margin."""


@dataclass(frozen=True)
class Limits:
    """How far each expression and joint of an avatar may go."""

    high: Float[Tensor, " e"]
    joints_low: Float[Tensor, "j 3"]
    joints_high: Float[Tensor, "j 3"]
    home: Float[Tensor, "4 4"]
    """The root that body motion is measured from."""
    body_low: Float[Tensor, "6"]
    body_high: Float[Tensor, "6"]
    """Of the body from there: rotation vector in radians, then metres."""


def rest_of(avatar: Avatar) -> Neutral:
    """Returns the avatar's neutral: of the clip it was fitted to, or the head at rest where it holds none.

    One photo's expression is no neutral: who smiles in it would never close the lips.
    """
    head = heads.load(avatar.head)
    calm = torch.zeros(len(head.expressions))
    if avatar.motion is None or not len(avatar.motion):
        return Neutral(calm, torch.zeros(len(head.joints), 3), torch.eye(4))
    neutral = neutral_of(avatar.motion)
    return neutral if _clip(avatar) is not None else replace(neutral, expression=calm)


def _clip(avatar: Avatar) -> Motion | None:
    """Returns the avatar's own clip; none where it holds nothing, or one photo, which tells no range."""
    return avatar.motion if avatar.motion is not None and len(avatar.motion) > 1 else None


def limits_of(avatar: Avatar) -> Limits:
    """Returns what an avatar can show: what its clip showed and a margin; without a clip, all that a head can."""
    head, rest = heads.load(avatar.head), rest_of(avatar)
    most = torch.tensor([_TURN_MOST.get(name, 0.3) for name in head.joints])[:, None].expand(-1, 3)
    high = torch.ones(len(head.expressions))
    body = torch.tensor(_BODY_MOST)
    clip = _clip(avatar)
    if clip is None:
        return Limits(high, -most, most.clone(), rest.root, -body, body)
    pose = clip.pose
    shown = pose.expression.amax(0) + _MARGIN
    free = torch.tensor([n.startswith(_FREE) for n in head.expressions])
    high = torch.where(free, high, shown.clamp(0, 1))
    low, top = pose.joints.amin(0) - _TURN_MARGIN, pose.joints.amax(0) + _TURN_MARGIN
    moved, margin = _moved(rest.root, pose.root), torch.tensor(_BODY_MARGIN)
    body_low = torch.maximum(moved.amin(0) - margin, -body)
    body_high = torch.minimum(moved.amax(0) + margin, body)
    low, top = torch.maximum(low, -most), torch.minimum(top, most)
    return Limits(high, low, top, rest.root, body_low, body_high)


def retarget(
    motion: Motion,
    avatar: Avatar,
    options: RetargetOptions = RetargetOptions(),
    neutral: Neutral | None = None,
) -> Motion:
    """Returns a driver's motion as the avatar's.

    Args:
        motion: Of anybody, on the avatar's head model; a piece of a longer one if `neutral` is given.
        avatar: Who shall do it.
        options: What to take over.
        neutral: The driver's; by default found in `motion`.

    Raises:
        AvatarError: Another head's joints or expressions, or an option out of range.
    """
    return Transfer(avatar, options)(motion, neutral)


class Transfer:
    """`retarget` for many pieces of motion: the avatar is looked at once."""

    def __init__(self, avatar: Avatar, options: RetargetOptions = RetargetOptions()):
        check(options)
        self._head, self._options = heads.load(avatar.head), options
        self._rest = rest_of(avatar)
        self._limits = limits_of(avatar) if options.clamp else None

    def __call__(self, motion: Motion, neutral: Neutral | None = None) -> Motion:
        """Returns the motion as the avatar's; see `retarget`."""
        head, options = self._head, self._options
        if motion.names != tuple(head.expressions) or motion.pose.joints.shape[1] != len(head.joints):
            raise AvatarError(f"motion: not on head '{head.name}'; read it with avatar3d.motions or track it anew")
        start, pose = neutral or neutral_of(motion), motion.pose
        expression = _expression(pose.expression, start, self._rest, motion.names, options)
        joints, root = _turned(pose, start, self._rest, head, options)
        out = Motion(Pose(expression, joints, root), motion.fps, motion.names)
        return out if self._limits is None else clamped(out, self._limits)


def clamped(motion: Motion, limits: Limits) -> Motion:
    """Returns a motion within limits; joints and body bend gently: a turn slows down, it does not hit a wall."""
    pose = motion.pose
    expression = torch.minimum(pose.expression.clamp(min=0), limits.high.to(pose.expression))
    joints = _bent(pose.joints, limits.joints_low.to(pose.joints), limits.joints_high.to(pose.joints))
    home = limits.home.to(pose.root)
    body = _bent(_moved(home, pose.root), limits.body_low.to(pose.root), limits.body_high.to(pose.root))
    root = home @ geometry.rigid(geometry.rotvec_to_matrix(body[:, :3]), body[:, 3:])
    return replace(motion, pose=replace(pose, expression=expression, joints=joints, root=root))


def check(options: RetargetOptions) -> None:
    """Raises an `AvatarError` for a strength of an unknown region or out of range."""
    for region, value in options.strength.items():
        first_of(REGIONS, region)
        if not 0 <= value <= 3:
            raise AvatarError(f"strength of {region} is {value:g}; give a number from 0 to 3")


def _expression(
    given: Float[Tensor, "t e"], start: Neutral, rest: Neutral, names: tuple[str, ...], options: RetargetOptions
) -> Float[Tensor, "t e"]:
    take = torch.tensor([options.gaze if n.startswith("eyeLook") else options.expression for n in names])
    gain = torch.tensor([options.strength.get(region_of(n), 1.0) for n in names]).to(given)
    own = rest.expression.to(given)
    if not options.relative:
        return torch.where(take, (given * gain).clamp(0, 1), own)
    change = (given - start.expression.to(given)) * gain
    out = own + change
    for one, other in _OPPOSITE:
        a, b = first_of(names, one), first_of(names, other)
        axis = own[a] - own[b] + change[:, a] - change[:, b]
        out[:, a], out[:, b] = axis, -axis
    return torch.where(take, out.clamp(0, 1), own)


def _turned(
    pose: Pose, start: Neutral, rest: Neutral, head: HeadModel, options: RetargetOptions
) -> tuple[Float[Tensor, "t j 3"], Float[Tensor, "t 4 4"]]:
    """Returns joints and roots."""
    t = len(pose.joints)
    eyes = torch.tensor([n.startswith("eye") for n in head.joints])
    gain = torch.tensor([options.strength.get("gaze" if e else "head", 1.0) for e in eyes.tolist()])[:, None]
    take = torch.where(eyes, torch.tensor(options.gaze), torch.tensor(options.pose))[:, None]
    own = rest.joints.to(pose.joints)
    if not options.relative:
        joints = torch.where(take, pose.joints * gain.to(pose.joints), own)
        return joints, pose.root if options.pose else rest.root.to(pose.root).expand(t, 4, 4)
    turned = geometry.rotvec_to_matrix(start.joints.to(pose.joints)).mT @ geometry.rotvec_to_matrix(pose.joints)
    change = geometry.matrix_to_rotvec(turned) * gain.to(pose.joints)
    whole = geometry.rotvec_to_matrix(own) @ geometry.rotvec_to_matrix(change)
    joints = torch.where(take, geometry.matrix_to_rotvec(whole), own)
    base = rest.root.to(pose.root)
    if not options.pose:
        return joints, base.expand(t, 4, 4)
    return joints, base @ geometry.rigid_inverse(start.root.to(pose.root)) @ pose.root


def _moved(home: Float[Tensor, "4 4"], root: Float[Tensor, "t 4 4"]) -> Float[Tensor, "t 6"]:
    """Returns the rotation vector and the shift of the body from its home, in the body's own axes."""
    change = geometry.rigid_inverse(home) @ root
    return torch.cat([geometry.matrix_to_rotvec(change[:, :3, :3]), change[:, :3, 3]], dim=1)


def _bent(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Returns x in [low, high]: itself over the inner 70 % of that range, then ever less."""
    middle, half = (low + high) / 2, (high - low) / 2
    x, knee = x - middle, 0.7 * half
    room = (half - knee).clamp(min=1e-6)
    beyond = (x.abs() - knee).clamp(min=0)
    return middle + x.sign() * (torch.minimum(x.abs(), knee) + room * torch.tanh(beyond / room))
