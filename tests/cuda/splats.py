"""Scenes, and the GPU splat rasterizer of the emulated library called as the Python backend calls it."""

from dataclasses import replace
from types import SimpleNamespace

import torch
from emulated import Emulated
from torch import Tensor

from avatar3d.core import Camera, Gaussians
from avatar3d.geometry import look_at, pinhole
from avatar3d.ops import reference

NAMES = ("means", "quats", "log_scales", "logits", "sh")


def random_splats(n: int, bases: int = 1, seed: int = 0, spread: float = 0.08, size: float = -4.2) -> Gaussians:
    """Returns a cloud around the origin."""
    g = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=g)

    return Gaussians(
        spread * normal(n, 3), normal(n, 4), size + 0.4 * normal(n, 3), 1.5 * normal(n), 0.4 * normal(n, bases, 3)
    )


def camera_at(eye=(0.1, 0.05, 0.6), width: int = 37, height: int = 29) -> Camera:
    """Returns a camera with two focal lengths and its principal point off the centre."""
    K = pinhole(width, height, 45.0)
    K[1, 1], K[0, 2], K[1, 2] = 52.0, width / 2 + 1.3, height / 2 - 0.7
    return Camera(look_at(torch.tensor(eye), torch.zeros(3)), K, width, height)


def off_the_cliffs(gaussians: Gaussians, camera: Camera) -> Gaussians:
    """Drops splats with a pixel so close to a threshold that float32 may fall on the other side of it."""
    pixels = torch.cartesian_prod(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5).flip(-1).double()
    for _ in range(50):
        g, c = gaussians.to(torch.float64), camera.to(torch.float64)
        centre, covariance, z, _ = reference.project(g, c)
        order = z.argsort()
        offset = pixels - centre[:, None]
        exponent = -0.5 * torch.einsum("npi,nij,npj->np", offset, torch.linalg.inv(covariance), offset)
        raw = g.opacities[:, None] * exponent.exp()
        alpha = torch.where(raw < reference.ALPHA_MIN, 0.0, raw.clamp_max(reference.ALPHA_MAX))
        after = torch.empty_like(alpha)
        after[order] = (1 - alpha[order]).cumprod(0)
        near = ((raw * 255 - 1).abs() < 3e-4) | ((raw / reference.ALPHA_MAX - 1).abs() < 3e-4)
        near |= ((after / reference.TRANSMITTANCE_MIN - 1).abs() < 1e-3) & (alpha > 0)
        bad = near.any(dim=1)
        if not bad.any():
            return gaussians
        gaussians = gaussians.gather((~bad).nonzero()[:, 0])
    raise AssertionError("no scene off the cliffs found")


def cotangents(views: int, camera: Camera, seed: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Returns random cotangents of rgb, alpha and depth."""
    g = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(views, camera.height, camera.width, c, generator=g) for c in (3, 1, 1))  # type: ignore


def forward(library: Emulated, gaussians: Gaussians, camera: Camera, background: Tensor, pairs: int = 0):
    """Returns rgb, alpha, depth (views h w c), counts, and what `backward` needs."""
    g = [getattr(gaussians, name).contiguous() for name in NAMES]
    w2c, K = camera.w2c.contiguous(), camera.K.expand(*camera.w2c.shape[:-2], 3, 3).contiguous()
    views = max(g[0].shape[0] if g[0].ndim == 3 else 1, w2c.shape[0] if w2c.ndim == 3 else 1)
    n, width, height = len(gaussians), camera.width, camera.height
    backgrounds = background.expand(views, 3).contiguous()
    scene = (n, views, g[4].shape[-2], width, height, *g, int(g[0].ndim == 3), w2c, K, int(w2c.ndim == 3), backgrounds)
    rgb, alpha, depth = (torch.full((views, height, width, c), torch.nan) for c in (3, 1, 1))
    counts, bytes_ = torch.full((2,), -1), torch.zeros(1, dtype=torch.int64)
    room = pairs or 64 * n * views + 16
    library.call("a3d_gpu_splat_workspace", n, views, width, height, room, bytes_)
    workspace = torch.full((int(bytes_),), 0xA5, dtype=torch.uint8)
    library.call("a3d_gpu_splat_forward", *scene, workspace, room, rgb, alpha, depth, counts, None)
    return SimpleNamespace(
        rgb=rgb, alpha=alpha, depth=depth, counts=counts, scene=scene, workspace=workspace, room=room, views=views
    )


def backward(library: Emulated, drawn, grads, want=(*NAMES, "cameras")) -> dict[str, Tensor]:
    """Returns the gradients of splats and cameras (views 16); cotangents of rgb, alpha and depth may be None."""
    n, slots = drawn.scene[0], int(drawn.counts[1])
    bytes_ = torch.zeros(1, dtype=torch.int64)
    library.call("a3d_gpu_splat_backward_workspace", n, drawn.views, slots, bytes_)
    scratch = torch.full((int(bytes_),), 0xA5, dtype=torch.uint8)
    shapes = dict(zip(NAMES, (x.shape for x in drawn.scene[5:10]), strict=True)) | {"cameras": (drawn.views, 16)}
    out = {name: torch.full(shape, torch.nan) if name in want else None for name, shape in shapes.items()}
    images = (drawn.rgb, drawn.alpha, drawn.depth)
    library.call(
        "a3d_gpu_splat_backward", *drawn.scene, drawn.workspace, drawn.room, *images, *grads, slots, scratch,
        *out.values(), None,
    )  # fmt: skip
    return {name: value for name, value in out.items() if value is not None}


def expected(gaussians: Gaussians, camera: Camera, background: Tensor, grads, backend: str = "reference"):
    """Returns the render and the gradients by the float64 twin, or by the CPU library in float32."""
    from avatar3d.ops.splat import rasterize

    dtype = torch.float64 if backend == "reference" else torch.float32
    g = gaussians.to(dtype).map(lambda t: t.clone().requires_grad_())
    c = camera.to(dtype)
    c = replace(c, w2c=c.w2c.clone().requires_grad_(), K=c.K.expand(*c.w2c.shape[:-2], 3, 3).clone().requires_grad_())
    render = rasterize(g, c, background.to(dtype), backend=backend)
    images = (render.rgb, render.alpha, render.depth)
    loss = sum((a * b.to(dtype).view_as(a)).sum() for a, b in zip(images, grads, strict=True) if b is not None)
    inputs = [*(getattr(g, name) for name in NAMES), c.w2c, c.K]
    *splats, w2c, K = torch.autograd.grad(loss, inputs, materialize_grads=True)
    intrinsics = torch.stack([K[..., 0, 0], K[..., 1, 1], K[..., 0, 2], K[..., 1, 2]], -1)
    cameras = torch.cat([w2c[..., :3, :].flatten(-2), intrinsics], -1)
    return render, dict(zip((*NAMES, "cameras"), (*splats, cameras), strict=True))


def relative(a: Tensor, b: Tensor) -> float:
    """Returns the relative L2 error of a."""
    return float((a.double() - b.double()).norm() / b.double().norm())
