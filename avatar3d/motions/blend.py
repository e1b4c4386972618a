"""Motions put together: other frame rates, one after the other, one into the other, in loops, region by region."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import geometry
from avatar3d.core import AvatarError, Motion, Pose

_PREFIXES: Mapping[str, tuple[str, ...]] = {
    "brows": ("brow",),
    "lids": ("eyeBlink", "eyeSquint", "eyeWide"),
    "gaze": ("eyeLook",),
    "cheeks": ("cheek",),
    "nose": ("nose",),
    "jaw": ("jaw",),
    "mouth": ("mouth",),
    "tongue": ("tongue",),
}
"""Regions of expressions by how their names begin."""
REGIONS = (*_PREFIXES, "head", "body")
"""What `mixed` and `scaled` know: regions of expressions, the joints above the torso, and root with clavicles."""
_HEAD = ("neck", "head")


def resampled(motion: Motion, fps: float) -> Motion:
    """Returns the motion at another frame rate: frame n shows the time n / fps.

    Raises:
        AvatarError: A rate that is not above 0.
    """
    if not 0 < fps <= 1000:
        raise AvatarError(f"a motion at {fps} frames a second; give a rate above 0")
    if len(motion) < 2 or fps == motion.fps:
        return replace(motion, fps=float(fps))
    count = int((len(motion) - 1) / motion.fps * fps + 1e-6) + 1
    at = torch.arange(count, dtype=torch.float64) * (motion.fps / fps)
    low = at.floor().long().clamp(max=len(motion) - 1)
    high = (low + 1).clamp(max=len(motion) - 1)
    return Motion(mixed_poses(motion.pose[low], motion.pose[high], (at - low).float()), float(fps), motion.names)


def joined(motions: Sequence[Motion], fade: float = 0.2) -> Motion:
    """Returns motions one after the other, each cross-faded into the next, at the rate of the first.

    Args:
        motions: At least one, of the same head and with the same names.
        fade: Seconds that two neighbours overlap; half of the shorter one at most.

    Raises:
        AvatarError: No motion, or motions that do not fit together.
    """
    if not motions:
        raise AvatarError("no motions to join; give one or more")
    out = motions[0]
    for after in motions[1:]:
        after = resampled(fitting(out, after), out.fps)
        count = min(round(fade * out.fps), len(out) // 2, len(after) // 2)
        keep = len(out) - count
        middle = mixed_poses(out.pose[keep:], after.pose[:count], _ease(count))
        out = replace(out, pose=_cat([out.pose[:keep], middle, after.pose[count:]]))
    return out


def looped(motion: Motion, fade: float = 0.5) -> Motion:
    """Returns a motion that can be repeated without a seam: its end is cross-faded into its beginning.

    It is shorter than the original by `fade` seconds.

    Raises:
        AvatarError: The motion is shorter than twice the fade.
    """
    count = round(fade * motion.fps)
    if count < 1 or len(motion) < 2 * count:
        raise AvatarError(
            f"a loop with a fade of {fade:g} s needs {2 * fade:g} s or more; there are {len(motion)} frames"
        )
    keep = len(motion) - count
    start = mixed_poses(motion.pose[keep:], motion.pose[:count], _ease(count))
    return replace(motion, pose=_cat([start, motion.pose[count:keep]]))


def mixed(first: Motion, second: Motion, regions: Mapping[str, float], joints: Sequence[str] | None = None) -> Motion:
    """Returns the first motion with regions of the second: 0 keeps the first's, 1 takes the second's.

    Args:
        first: Gives the rate and, where it ends earlier, the length.
        second: Of the same head; resampled where its rate differs.
        regions: Shares in [0, 1] by name, see `REGIONS`.
        joints: Names of the joints; by default those of the default head.

    Raises:
        AvatarError: An unknown region, a share out of range, or motions that do not fit together.
    """
    _check(regions, 1.0)
    second = resampled(fitting(first, second), first.fps)
    count = min(len(first), len(second))
    a, b = first.pose[:count], second.pose[:count]
    shares = torch.tensor([regions.get(region_of(name), 0.0) for name in first.names])
    turned = _slerp_vectors(a.joints, b.joints, _joint_shares(a, regions, 0.0, joints))
    root = a.root
    if regions.get("body", 0.0) > 0:
        root = _mixed_roots(a.root, b.root, torch.full((count,), float(regions["body"])))
    return replace(
        first, pose=Pose(torch.lerp(a.expression, b.expression, shares.to(a.expression)), turned, root, a.soft)
    )


def scaled(motion: Motion, strengths: Mapping[str, float], joints: Sequence[str] | None = None) -> Motion:
    """Returns the motion with regions made stronger or weaker; weights stay in [0, 1].

    Args:
        motion: Any.
        strengths: Factors from 0 to 4 by region; "body" scales the clavicles, the root stays.
        joints: Names of the joints; by default those of the default head.

    Raises:
        AvatarError: An unknown region or a factor out of range.
    """
    _check(strengths, 4.0)
    pose = motion.pose
    factors = torch.tensor([strengths.get(region_of(name), 1.0) for name in motion.names]).to(pose.expression)
    turned = pose.joints * _joint_shares(pose, strengths, 1.0, joints)[:, None].to(pose.joints)
    return replace(motion, pose=replace(pose, expression=(pose.expression * factors).clamp(0, 1), joints=turned))


def region_of(name: str) -> str:
    """Returns the region of an ARKit expression, or "" for none."""
    return next((region for region, starts in _PREFIXES.items() if name.startswith(starts)), "")


def mixed_poses(first: Pose, second: Pose, share: Float[Tensor, " t"]) -> Pose:
    """Returns poses that lie between: 0 is the first, 1 the second; rotations go the short way.

    Args:
        first: t poses.
        second: As many.
        share: In [0, 1].
    """
    along = share.to(first.expression)
    soft = None
    if first.soft is not None and second.soft is not None:
        soft = torch.lerp(first.soft, second.soft, along[:, None, None])
    return Pose(
        torch.lerp(first.expression, second.expression, along[:, None]),
        _slerp_vectors(first.joints, second.joints, along[:, None]),
        _mixed_roots(first.root, second.root, along),
        soft,
    )


def _mixed_roots(a: Float[Tensor, "t 4 4"], b: Float[Tensor, "t 4 4"], share: Float[Tensor, " t"]) -> Tensor:
    turned = _slerp(geometry.matrix_to_quat(a[:, :3, :3]), geometry.matrix_to_quat(b[:, :3, :3]), share)
    moved = torch.lerp(a[:, :3, 3], b[:, :3, 3], share[:, None].to(a))
    mixed = geometry.rigid(geometry.quat_to_matrix(turned), moved)
    # The ends are exact: a motion that is kept keeps its bits.
    mixed = torch.where((share <= 0)[:, None, None], a, mixed)
    return torch.where((share >= 1)[:, None, None], b, mixed)


def _slerp_vectors(a: Float[Tensor, "t j 3"], b: Float[Tensor, "t j 3"], share: Tensor) -> Float[Tensor, "t j 3"]:
    """Returns rotation vectors between two sets; `share` broadcasts over t and j."""
    share = share.to(a).expand(a.shape[:-1])
    first, second = (geometry.matrix_to_quat(geometry.rotvec_to_matrix(x)) for x in (a, b))
    mixed = geometry.matrix_to_rotvec(geometry.quat_to_matrix(_slerp(first, second, share)))
    mixed = torch.where((share <= 0)[..., None], a, mixed)
    return torch.where((share >= 1)[..., None], b, mixed)


def _slerp(a: Float[Tensor, "*b 4"], b: Float[Tensor, "*b 4"], share: Float[Tensor, "*b"]) -> Float[Tensor, "*b 4"]:
    cosine = (a * b).sum(-1)
    b = torch.where(cosine[..., None] < 0, -b, b)
    angle = torch.acos(cosine.abs().clamp(max=1.0))
    near = angle < 1e-4
    sine = torch.where(near, torch.ones_like(angle), angle.sin())
    wa = torch.where(near, 1 - share, ((1 - share) * angle).sin() / sine)
    wb = torch.where(near, share, (share * angle).sin() / sine)
    return wa[..., None] * a + wb[..., None] * b


def _ease(count: int) -> Float[Tensor, " t"]:
    """Returns shares that rise smoothly from just above 0 to just below 1."""
    x = (torch.arange(count) + 1) / (count + 1)
    return x * x * (3 - 2 * x)


def _cat(poses: Sequence[Pose]) -> Pose:
    soft = [pose.soft for pose in poses if len(pose.expression)]
    return Pose(
        torch.cat([pose.expression for pose in poses]),
        torch.cat([pose.joints for pose in poses]),
        torch.cat([pose.root for pose in poses]),
        torch.cat([x for x in soft if x is not None]) if all(x is not None for x in soft) else None,
    )


def fitting(first: Motion, second: Motion) -> Motion:
    """Returns the second motion with its columns in the order of the first's."""
    if first.pose.joints.shape[1] != second.pose.joints.shape[1]:
        counts = first.pose.joints.shape[1], second.pose.joints.shape[1]
        raise AvatarError(f"motions with {counts[0]} and {counts[1]} joints belong to different heads")
    if second.names == first.names:
        return second
    if set(second.names) != set(first.names):
        odd = sorted(set(first.names) ^ set(second.names))[0]
        raise AvatarError(f"only one of the motions has '{odd}'; they do not fit together")
    order = [second.names.index(name) for name in first.names]
    pose = replace(second.pose, expression=second.pose.expression[:, order])
    return replace(second, pose=pose, names=first.names)


def _joint_shares(pose: Pose, regions: Mapping[str, float], other: float, joints: Sequence[str] | None) -> Tensor:
    from avatar3d import heads

    names = heads.load("anny").joints if joints is None else joints
    if len(names) != pose.joints.shape[1]:
        raise AvatarError(f"{pose.joints.shape[1]} joints; name them, the default head has {len(names)}")
    region = ["head" if n in _HEAD else "gaze" if n.startswith("eye") else "body" for n in names]
    return torch.tensor([float(regions.get(name, other)) for name in region])


def _check(regions: Mapping[str, float], most: float) -> None:
    for name, value in regions.items():
        if name not in REGIONS:
            raise AvatarError(f"unknown region '{name}'; there are {', '.join(REGIONS)}")
        if not 0 <= value <= most:
            raise AvatarError(f"region {name}: {value} is out of range; it goes from 0 to {most:g}")
