"""Splats to images: the rasterizer with gradients to every input."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import AvatarError, Camera, Gaussians, Render
from avatar3d.ops import backends, reference
from avatar3d.ops.gpu import Host, run
from avatar3d.ops.scratch import Scratch

BACKENDS = ("cpu", "reference")
"""Those of every machine. `cpu`: the native library, float32. `reference`: plain PyTorch, any float type, slow. `cuda`
and `gsplat` need a device: `ops.backends`."""

SH_BASES = (1, 4, 9, 16)
_SLOT_LIMIT = 1 << 26
"""Gradient slots (48 bytes each) above this mean splats that cover the image many times over, not a usable scene."""


def rasterize(
    gaussians: Gaussians,
    camera: Camera,
    background: Float[Tensor, "*b 3"] | None = None,
    backend: str = "auto",
    contribution: bool = False,
) -> Render:
    """Returns the view of splats from one camera or many, differentiable in every input, cameras included.

    EWA splatting (Zwicker et al. 2001; Kerbl et al. 2023): pixel centres at +0.5, covariance dilated by 0.3 px^2,
    alphas below 1/255 skipped and clamped to 0.999, a pixel closed before the splat that would bring its transmittance
    to 1e-4 or less, near plane at 1 cm. Splats with a NaN or an infinity are not drawn. Colours are not clamped. The
    result has the same bits for any number of threads.

    Args:
        gaussians: n splats in the world, metres; one set or a batch `*b` of poses.
        camera: One or a batch `*b` of the same shape; a side without a batch is shared by all views.
        background: sRGB in [0, 1] behind the splats, one or one per view; black without.
        backend: `auto` (the fastest live one on the tensors' device), `cuda`, `gsplat`, `cpu` or `reference`.
        contribution: Also return `aux["contribution"]`, of the shape of `gaussians.logits`: each splat's sum of blend
            weights over the pixels of its views (costs about a backward pass).

    Returns:
        `rgb`, `alpha`, and `depth` = alpha-weighted camera-space z in metres.

    Raises:
        AvatarError: Wrong shapes, types or devices, a camera that is not finite, or a backend that is not live.
    """
    batch, chosen = _check(gaussians, camera, background, backend)
    if background is None:
        background = gaussians.means.new_zeros(3)
    K = camera.K.expand(*camera.w2c.shape[:-2], 3, 3)
    if chosen == "reference":
        render = reference.rasterize(gaussians, replace(camera, K=K), background)
    elif chosen == "gsplat":
        from avatar3d.ops.backends import via_gsplat

        render = via_gsplat.rasterize(gaussians, replace(camera, K=K), background)
    else:
        tensors = (gaussians.means, gaussians.quats, gaussians.log_scales, gaussians.logits, gaussians.sh)
        poses = gaussians.means.ndim - 2
        rgb, alpha, depth = _Rasterize.apply(
            *(x.flatten(0, poses - 1) if poses else x for x in tensors),
            camera.w2c.flatten(0, -3) if batch and camera.w2c.ndim > 2 else camera.w2c,
            K.flatten(0, -3) if batch and K.ndim > 2 else K,
            background.flatten(0, -2) if background.ndim > 1 else background,
            (camera.width, camera.height),
            chosen,
        )
        shape = (*batch, camera.height, camera.width)
        render = Render(rgb.view(*shape, 3), alpha.view(*shape, 1), depth.view(*shape, 1))
    if contribution:
        ones = render.rgb.new_ones(1).expand(render.rgb.shape)
        weights = _gathered(gaussians, camera, backend, [ones])[0][..., 0]
        render = replace(render, aux={"contribution": weights})
    return render


def gather_colour(
    gaussians: Gaussians, camera: Camera, image: Float[Tensor, "*b h w 3"], backend: str = "auto"
) -> tuple[Float[Tensor, "*g n"], Float[Tensor, "*g n 3"]]:
    """Returns each splat's summed blend weight and the mean of the pixels it covers, weighted likewise.

    That mean is the colour that a closed-form step would give the splat (RGBAvatar's colour initialisation, Li et al.
    2025). It is the gradient of <render.rgb, image> with respect to the colours, so the backward pass computes it.

    Args:
        gaussians: n splats; their own colours do not matter.
        camera: The views; sums run over all views of the same splats.
        image: What the cameras saw, sRGB in [0, 1].
        backend: As in `rasterize`.

    Returns:
        Weight (in pixels) and colour; the colour of a splat of weight 0 is 0.
    """
    ones = image.new_ones(1).expand(image.shape)
    total, weight = _gathered(gaussians, camera, backend, [image, ones])
    return weight[..., 0], torch.where(weight > 0, total / weight.clamp_min(1e-12), 0.0)


def _gathered(gaussians: Gaussians, camera: Camera, backend: str, images: list[Tensor]) -> list[Tensor]:
    """Returns, for each image, every splat's sum of weight x pixel (n 3)."""
    with torch.enable_grad():
        colours = torch.zeros_like(gaussians.means).unsqueeze(-2).requires_grad_()
        seen = rasterize(replace(gaussians.detach(), sh=colours), camera.detach(), backend=backend).rgb
        grads = [torch.autograd.grad(seen, colours, image, retain_graph=True)[0] for image in images]
    return [grad[..., 0, :] / reference.SH_C0 for grad in grads]


def _check(gaussians: Gaussians, camera: Camera, background: Tensor | None, backend: str) -> tuple[torch.Size, str]:
    """Returns the batch shape of the views and the backend after checking every input."""
    n, batch = len(gaussians), gaussians.means.shape[:-2]
    means = gaussians.means
    wanted = {"means": (n, 3), "quats": (n, 4), "log_scales": (n, 3), "logits": (n,)}
    for name, shape in wanted.items():
        if getattr(gaussians, name).shape != (*batch, *shape):
            raise AvatarError(
                f"rasterize: {name} has shape {tuple(getattr(gaussians, name).shape)}, expected {(*batch, *shape)}"
            )
    sh = gaussians.sh
    if sh.shape != (*batch, n, sh.shape[-2], 3) or sh.shape[-2] not in SH_BASES:
        raise AvatarError(f"rasterize: sh has shape {tuple(sh.shape)}, expected {(*batch, n)} + (1, 4, 9 or 16, 3)")
    views = camera.w2c.shape[:-2]
    if camera.w2c.shape[-2:] != (4, 4) or camera.K.shape[-2:] != (3, 3) or (batch and views and batch != views):
        raise AvatarError(
            f"rasterize: cameras w2c {tuple(camera.w2c.shape)}, K {tuple(camera.K.shape)} do not fit splats of batch "
            f"{tuple(batch)}; give (4, 4) and (3, 3) with the same batch, or none"
        )
    batch = batch or views
    if camera.width < 1 or camera.height < 1:
        raise AvatarError(f"rasterize: image size {camera.width} x {camera.height}; both must be at least 1")
    if background is not None and background.shape not in ((3,), (*batch, 3)):
        raise AvatarError(f"rasterize: background has shape {tuple(background.shape)}, expected (3,) or {(*batch, 3)}")
    given = {name: getattr(gaussians, name) for name in (*wanted, "sh")} | {"w2c": camera.w2c, "K": camera.K}
    if background is not None:
        given["background"] = background
    chosen = backends.choose("splat", given, backend)
    for name, value in given.items():
        if value.dtype != means.dtype:
            raise AvatarError(f"rasterize: {name} is {value.dtype}, means are {means.dtype}; use one type")
    # A sum is not finite when one element is not, and costs one small call each.
    if not bool(torch.isfinite(camera.w2c.sum() + camera.K.sum())):
        raise AvatarError("rasterize: the camera's w2c or K holds a NaN or an infinity")
    return batch, chosen


class _Rasterize(torch.autograd.Function):
    """Forward and backward of the CPU and CUDA libraries; every argument has no batch axis or exactly one."""

    @staticmethod
    def forward(ctx, means, quats, log_scales, logits, sh, w2c, K, background, size, kind):  # type: ignore[override]
        inputs = tuple(x.detach().contiguous() for x in (means, quats, log_scales, logits, sh, w2c, K))
        views = max(means.shape[0] if means.ndim == 3 else 1, w2c.shape[0] if w2c.ndim == 3 else 1)
        width, height = size
        backgrounds = background.detach().expand(views, 3).contiguous()
        rgb, alpha, depth = (means.new_empty(views, height, width, c) for c in (3, 1, 1))
        scene = _scene(inputs, backgrounds, views, size)
        problem = (means.shape[-2], views, size)
        room = _room.get(problem) or 4 * means.shape[-2] * views + 1024
        counts = torch.zeros(2, dtype=torch.int64, device=means.device)
        while True:
            workspace = _block(kind, means, "splat_workspace", means.shape[-2], views, *size, room)
            run(kind, "splat_forward", *scene, workspace.tensor, room, rgb, alpha, depth, counts)
            pairs, slots = counts.tolist()  # on a device, this waits for its projection and sorts
            if pairs <= room:
                break
            room = pairs + pairs // 4
        if len(_room) > 64:
            _room.clear()
        _room[problem] = room
        ctx.save_for_backward(*inputs, backgrounds, rgb, alpha, depth)
        ctx.workspace, ctx.room, ctx.slots, ctx.size, ctx.views = workspace, room, slots, size, views
        ctx.background_batch, ctx.kind = background.ndim == 2, kind
        ctx.set_materialize_grads(False)
        return rgb, alpha, depth

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad_rgb, grad_alpha, grad_depth):  # type: ignore[override]
        *inputs, backgrounds, rgb, alpha, depth = ctx.saved_tensors
        if ctx.slots > _SLOT_LIMIT:
            raise AvatarError(
                f"rasterize: the splats cover {ctx.slots} tiles, whose gradients would not fit in memory; "
                "are log_scales (natural logarithm of metres) and the camera in the same unit?"
            )
        cotangents = [None if g is None else g.contiguous() for g in (grad_rgb, grad_alpha, grad_depth)]
        needs = ctx.needs_input_grad
        grads = [torch.empty_like(x) if need else None for x, need in zip(inputs[:5], needs, strict=False)]
        cameras = rgb.new_empty(ctx.views, 16) if needs[5] or needs[6] else None
        sizes = (len(inputs[0].flatten(0, -2)), ctx.views, ctx.slots)
        scratch = _block(ctx.kind, rgb, "splat_backward_workspace", *sizes)
        scene = _scene(inputs, backgrounds, ctx.views, ctx.size)
        run(
            *(ctx.kind, "splat_backward", *scene, ctx.workspace.tensor, ctx.room, rgb, alpha, depth),
            *(*cotangents, ctx.slots, scratch.tensor, *grads, cameras),
        )
        w2c, K = (None, None) if cameras is None else _camera_gradients(cameras, inputs[5].shape)
        background = None
        if needs[7] and grad_rgb is not None:
            # In two steps: torch splits a sum that has few outputs between threads, and then its bits depend on them.
            background = (grad_rgb * (1 - alpha)).sum(dim=2).sum(dim=1)
            background = background if ctx.background_batch else background.sum(0)
        return (*grads, w2c if needs[5] else None, K if needs[6] else None, background, None, None)


_room: dict[tuple[int, int, tuple[int, int]], int] = {}
"""Room for (splat, tile) pairs that sufficed last time, by problem size: saves a second pass, changes no result."""


def _block(kind: str, like: Tensor, function: str, *sizes: int) -> Scratch:
    """Returns the bytes of workspace that a `_workspace` function of the library asks for, beside the tensors."""
    answer = torch.zeros(1, dtype=torch.int64)
    run(kind, function, *sizes, Host(answer))
    return Scratch(int(answer), like.device)


def _scene(inputs, backgrounds: Tensor, views: int, size: tuple[int, int]) -> tuple:
    """Returns the arguments that both native passes start with."""
    means, quats, log_scales, logits, sh, w2c, K = inputs
    many_poses, many_cameras = int(means.ndim == 3), int(w2c.ndim == 3)
    counts = (means.shape[-2], views, sh.shape[-2], *size)
    return (*counts, means, quats, log_scales, logits, sh, many_poses, w2c, K, many_cameras, backgrounds)


def _camera_gradients(cameras: Float[Tensor, "b 16"], shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Returns the gradients of w2c (of the given shape) and K from rows of 3x4, fx, fy, cx, cy."""
    if len(shape) == 2:
        cameras = cameras.sum(0)
    w2c, K = cameras.new_zeros(shape), cameras.new_zeros(*shape[:-2], 3, 3)
    w2c[..., :3, :] = cameras[..., :12].view(*shape[:-2], 3, 4)
    K[..., 0, 0], K[..., 1, 1], K[..., 0, 2], K[..., 1, 2] = cameras[..., 12:].unbind(-1)
    return w2c, K
