"""Splats on their way to and from files: posed, turned into other tools' axes, and checked."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError, Binding, Gaussians, Pose
from avatar3d.geometry import matrix_to_quat, quat_product
from avatar3d.heads.scene import NAME as SCENE
from avatar3d.ops.reference import sh_values
from avatar3d.render.image import world_splats

C0 = 0.28209479177387814
"""Constant of the degree-0 spherical harmonic: colour = 0.5 + C0 * coefficient."""
MOST = 16_000_000
"""Splats in a file that is read; the largest public scenes have 6 million."""
_COEFFICIENTS = (1, 4, 9, 16)
_LOGIT = 30.0  # the opacity there is 1 to the last bit of a float

# How each real spherical harmonic (in the order of 3D Gaussian splatting) changes where y and z change their signs:
# each is a polynomial, and is odd in y and z together or even.
_FLIPPED = (1, -1, -1, 1, -1, 1, 1, -1, 1, -1, 1, -1, -1, 1, -1, 1)


def posed_splats(avatar: Avatar, pose: Pose) -> Gaussians:
    """Returns one pose's splats in the world on the CPU: float32, with quaternions of length one."""
    with torch.no_grad():
        g = world_splats(avatar, pose).to("cpu", torch.float32)
    return Gaussians(g.means, torch.nn.functional.normalize(g.quats, dim=-1), g.log_scales, g.logits, g.sh)


def turned(gaussians: Gaussians) -> Gaussians:
    """Returns splats turned by 180 degrees about x: y up, z backward to y down, z forward, and back."""
    half = gaussians.quats.new_tensor([0.0, 1.0, 0.0, 0.0])
    signs = gaussians.means.new_tensor([1.0, -1.0, -1.0])
    return Gaussians(
        gaussians.means * signs,
        quat_product(half.expand_as(gaussians.quats), gaussians.quats),
        gaussians.log_scales,
        gaussians.logits,
        mirrored_sh(gaussians.sh),
    )


def mirrored_sh(sh: Float[Tensor, "n k 3"]) -> Float[Tensor, "n k 3"]:
    """Returns the coefficients of colours seen from directions whose y and z have changed signs."""
    return sh * sh.new_tensor(_FLIPPED[: sh.shape[-2]])[:, None]


def rotated(gaussians: Gaussians, turn: Float[Tensor, "3 3"]) -> Gaussians:
    """Returns splats turned about the origin, their view-dependent colours with them."""
    eye = torch.eye(3, dtype=turn.dtype)
    if torch.equal(turn, eye):
        return gaussians
    quat = matrix_to_quat(turn).expand_as(gaussians.quats)
    bases = gaussians.sh.shape[-2]
    # A turned function f(R^T d) is again a sum of the harmonics: its coefficients are solved for on fixed directions.
    towards = torch.nn.functional.normalize(torch.randn(64, 3, generator=torch.Generator().manual_seed(0)), dim=-1)
    here, there = sh_values(towards.double(), bases), sh_values((towards @ turn).double(), bases)
    mix = torch.linalg.lstsq(here, there).solution.to(gaussians.sh.dtype)
    return Gaussians(
        gaussians.means @ turn.mT,
        quat_product(quat, gaussians.quats),
        gaussians.log_scales,
        gaussians.logits,
        mix @ gaussians.sh,
    )


def from_arrays(
    means: Float[np.ndarray, "n 3"],
    quats: Float[np.ndarray, "n 4"],
    log_scales: Float[np.ndarray, "n 3"],
    logits: Float[np.ndarray, " n"],
    sh: Float[np.ndarray, "n k 3"],
    where: str,
) -> Gaussians:
    """Returns checked splats from what a file held; an infinite logit, which some tools write, is made a large one.

    Raises:
        AvatarError: NaN or infinity (the splat and the field are named), or a quaternion of length zero.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # what float32 cannot hold becomes infinity, and is refused
        length = np.sqrt((quats.astype(np.float64) ** 2).sum(-1, keepdims=True))
        arrays = (means, quats / np.maximum(length, 1e-12), log_scales, np.clip(logits, -_LOGIT, _LOGIT), sh)
        arrays = tuple(np.ascontiguousarray(x, np.float32) for x in arrays)
    for name, array in zip(("position", "rotation", "scale", "opacity", "colour"), arrays, strict=True):
        good = np.isfinite(array.reshape(len(array), -1)).all(1)
        if not good.all():
            raise AvatarError(f"{where}: splat {int((~good).argmax())} holds NaN or infinity in its {name}")
    if not (length > 1e-12).all():
        raise AvatarError(f"{where}: splat {int((length[:, 0] <= 1e-12).argmax())} has a rotation of length zero")
    if sh.shape[1] not in _COEFFICIENTS:
        raise AvatarError(f"{where}: {sh.shape[1]} colour coefficients; 1, 4, 9 or 16 are known")
    return Gaussians(*(torch.from_numpy(x) for x in arrays))


def check_count(count: int, where: str) -> int:
    """Returns the number of splats that a file announces, before anything is allocated for them.

    Raises:
        AvatarError: None at all, or more than `MOST`.
    """
    if not 0 < count <= MOST:
        raise AvatarError(f"{where}: announces {count} splats; 1 to {MOST} can be read")
    return count


def scene(gaussians: Gaussians, source: str) -> Avatar:
    """Returns free splats as an avatar without a head: it renders, saves and moves as a whole, and has no face."""
    n = len(gaussians)
    corner = torch.tensor([1.0, 0.0, 0.0]).expand(n, 3).clone()
    return Avatar(
        head=SCENE,
        identity=torch.zeros(0),
        gaussians=gaussians,
        binding=Binding(torch.zeros(n, dtype=torch.long), corner),
        about={"source": source, "imported": True},
    )


def has_face(avatar: Avatar) -> bool:
    """Returns whether the avatar rides on a head with expressions."""
    return bool(heads.load(avatar.head).expressions)


def to_logits(opacity: Float[np.ndarray, " n"], steps: int = 255) -> Float[np.ndarray, " n"]:
    """Returns logits of opacities that were stored in `steps` steps: 0 and 1 are taken half a step inside."""
    inside = np.clip(np.asarray(opacity, np.float64), 0.5 / steps, 1 - 0.5 / steps)
    return np.log(inside / (1 - inside)).astype(np.float32)


def opacities(gaussians: Gaussians) -> Float[np.ndarray, " n"]:
    """Returns opacities in (0, 1)."""
    return gaussians.logits.double().sigmoid().numpy()


def as_numpy(x: Tensor) -> np.ndarray:
    """Returns a tensor's values as float32."""
    return x.detach().cpu().numpy().astype(np.float32, copy=False)
