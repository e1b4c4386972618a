"""From the mesh to splats in the world: triangle frames, barycentric anchors and reduced blendshapes, fused."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from avatar3d.core import AvatarError, Basis, Binding, Gaussians
from avatar3d.ops import backends, reference_fit
from avatar3d.ops.gpu import run

_FRAME = 24  # floats of a triangle's frame, as in cuda/cpu/pose.h
_CHUNK = 256  # splats of a task there, and of a block in cuda/gpu/pose.h


def pose_splats(
    gaussians: Gaussians,
    binding: Binding,
    basis: Basis | None,
    weights: Float[Tensor, "*b k"] | None,
    vertices: Float[Tensor, "*b v 3"],
    faces: Int[Tensor, "f 3"],
    backend: str = "auto",
) -> Gaussians:
    """Returns the splats in the world, for each pose of a batch; differentiable in all but the binding.

    The native kernels serve float32, and go over the blendshapes once for all poses, forward and backward; everything
    else takes the PyTorch twin `reference_fit.pose_splats`, which has the formulas. The same bits for any number of
    threads on the CPU.

    Args:
        gaussians: Unbatched, in the local frames of the triangles, lengths in units of each triangle's size.
        binding: The triangle and the point on it that carry each splat.
        basis: Splat blendshapes, or None.
        weights: How much of each blendshape each pose asks for; None without a basis.
        vertices: Posed meshes, world, metres.
        faces: Their triangles.
        backend: `auto`, `cuda`, `cpu` or `reference`.

    Raises:
        AvatarError: If sizes do not fit, or the binding or the faces point outside.
    """
    if (basis is None) != (weights is None):
        raise AvatarError("blend.pose_splats: give both a basis and weights, or neither")
    if len(binding.face) != len(gaussians):
        raise AvatarError(f"blend.pose_splats: {len(gaussians)} splats but a binding of {len(binding.face)}")
    if basis is not None and weights is not None:
        if basis.means.shape[:2] != (weights.shape[-1], len(gaussians)):
            raise AvatarError(
                f"blend.pose_splats: a basis of {basis.means.shape[0]} x {basis.means.shape[1]} for "
                f"{weights.shape[-1]} weights and {len(gaussians)} splats"
            )
        if weights.shape[:-1] != vertices.shape[:-2]:
            raise AvatarError(
                f"blend.pose_splats: weights for {tuple(weights.shape[:-1])} poses, "
                f"vertices for {tuple(vertices.shape[:-2])}"
            )
    tensors = {name: getattr(gaussians, name) for name in ("means", "quats", "log_scales", "sh")}
    tensors |= {"vertices": vertices, "faces": faces, "binding.face": binding.face, "binding.bary": binding.bary}
    if basis is not None and weights is not None:
        tensors |= {"basis.means": basis.means, "basis.quats": basis.quats, "basis.sh": basis.sh, "weights": weights}
    kind = backends.choose("pose", tensors, backend)
    if kind == "reference":
        return reference_fit.pose_splats(gaussians, binding, basis, weights, vertices, faces)

    batch, n = vertices.shape[:-2], len(gaussians)
    mesh = _Mesh(
        binding.face.to(torch.int32).contiguous(), binding.bary.contiguous(), faces.to(torch.int32).contiguous()
    )
    flat = weights.reshape(batch.numel(), weights.shape[-1]) if weights is not None else None
    blendshapes = (None, None, None) if basis is None else (basis.means, basis.quats, basis.sh)
    means, quats, log_scales, colours = _PoseSplats.apply(
        *(mesh, gaussians.means, gaussians.quats, gaussians.log_scales, gaussians.sh[:, 0]),
        *(*blendshapes, flat, vertices.reshape(batch.numel(), *vertices.shape[-2:]), kind),
    )
    sh = colours.reshape(*batch, n, 1, 3)
    if gaussians.sh.shape[1] > 1:
        higher = gaussians.sh[:, 1:]
        sh = torch.cat([sh, higher.expand(*batch, *higher.shape)], dim=-2)
    return Gaussians(
        means.reshape(*batch, n, 3),
        quats.reshape(*batch, n, 4),
        log_scales.reshape(*batch, n, 3),
        gaussians.logits.expand(*batch, n),
        sh,
    )


@dataclass(frozen=True)
class _Mesh:
    """What carries the splats, as the kernel reads it."""

    face: Tensor
    bary: Tensor
    faces: Tensor


class _PoseSplats(torch.autograd.Function):
    @staticmethod
    def forward(ctx, mesh: _Mesh, *inputs: Any):
        *tensors, kind = inputs
        packed: list[Any] = [None if x is None else x.contiguous() for x in tensors]
        means, quats, log_scales, colours, *basis, weights, vertices = packed
        b, v = vertices.shape[:2]
        n, f, k = len(means), len(mesh.faces), 0 if weights is None else weights.shape[1]
        frames = means.new_empty(b, f, _FRAME)
        run(kind, "pose_frames", vertices, mesh.faces, b, v, f, frames)
        world = [means.new_empty(b, n, c) for c in (3, 4, 3, 3)]
        inverse_length = means.new_empty(b, n)
        run(
            *(kind, "pose_forward", means, quats, log_scales, colours, mesh.face, mesh.bary, *basis, weights, frames),
            *(n, k, b, f, *world, inverse_length),
        )
        ctx.mesh, ctx.kind = mesh, kind
        ctx.save_for_backward(means, quats, *basis, weights, vertices, frames, *world[:2], inverse_length)
        return tuple(world)

    @staticmethod
    def backward(ctx, *given: Tensor):  # type: ignore[override]
        means, quats, *basis, weights, vertices, frames, world_means, world_quats, inverse_length = ctx.saved_tensors
        mesh, (b, v), f, n = ctx.mesh, vertices.shape[:2], frames.shape[1], len(means)
        k = 0 if weights is None else weights.shape[1]
        local = [means.new_empty(n, c) for c in (3, 4, 3, 3)]
        wanted = ctx.needs_input_grad[5:8]
        shapes = [torch.empty_like(x) if w and x is not None else None for w, x in zip(wanted, basis, strict=True)]
        parts = means.new_empty(-(-n // _CHUNK), b, k)
        of_weights = None if weights is None else means.new_empty(b, k)
        corners = means.new_empty(b, n, 9) if ctx.needs_input_grad[9] else None
        run(
            *(ctx.kind, "pose_backward", means, quats, mesh.face, mesh.bary, *basis, weights, frames, n, k, b, f),
            *(world_means, world_quats, inverse_length, *(x.contiguous() for x in given)),
            *(*local, *shapes, parts, of_weights, corners),
        )
        of_vertices = None
        if corners is not None:
            of_vertices = torch.empty_like(vertices)
            run(ctx.kind, "pose_scatter", corners, mesh.face, mesh.faces, n, b, v, of_vertices)
        return (None, *local, *shapes, of_weights, of_vertices, None)
