"""Splats by gsplat's CUDA rasterizer (Ye et al. 2024; written against 1.5.3, the only file that imports it).

Not run on a device by us: the arguments are checked against the published signature, and the mathematics against
gsplat's own PyTorch functions (tests/ops/test_gsplat.py).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from avatar3d.core import AvatarError, Camera, Gaussians, Render
from avatar3d.ops.reference import DILATION, NEAR, SH_C0, sh_values


def probe() -> None:
    """Raises what keeps gsplat from working: without a compiler it imports and leaves no kernels behind."""
    from gsplat import rasterization  # pyright: ignore[reportMissingImports]
    from gsplat.cuda import _backend  # pyright: ignore[reportMissingImports]

    if getattr(_backend, "_C", None) is None or not callable(rasterization):
        raise RuntimeError("its kernels are not compiled, and there is no nvcc to do it")


def rasterize(gaussians: Gaussians, camera: Camera, background: Float[Tensor, "*b 3"]) -> Render:
    """Returns what `ops.splat.rasterize` returns, with these differences: intrinsics get no gradient, splats with a NaN
    are gsplat's to handle, and where atomic additions meet the gradients' last bits vary.

    Colours are evaluated here, for gsplat's own clamp them at 0.

    Raises:
        AvatarError: A gradient to the intrinsics is asked for.
    """
    from gsplat import rasterization  # pyright: ignore[reportMissingImports]

    if camera.K.requires_grad:
        raise AvatarError("rasterize: gsplat gives no gradient to K; use another backend, or detach K")
    poses, views = gaussians.means.shape[:-2], camera.w2c.shape[:-2]
    # Its axes are [batch, cameras, splats]: poses are the batch with one camera each, else cameras share the splats.
    if poses:
        w2c = camera.w2c.expand(*poses, 4, 4)[..., None, :, :]
        K = camera.K.expand(*poses, 3, 3)[..., None, :, :]
        backdrop = background.expand(*poses, 3)[..., None, :]
    else:
        w2c, K = camera.w2c.reshape(-1, 4, 4), camera.K.expand(*views, 3, 3).reshape(-1, 3, 3)
        backdrop = background.expand(*views, 3).reshape(-1, 3)
    image, alpha, _ = rasterization(
        means=gaussians.means,
        quats=gaussians.quats,
        scales=gaussians.scales,
        opacities=gaussians.opacities,
        colors=colours(gaussians, w2c),
        viewmats=w2c,
        Ks=K,
        width=camera.width,
        height=camera.height,
        near_plane=NEAR,
        eps2d=DILATION,
        sh_degree=None,
        packed=False,
        backgrounds=backdrop,
        render_mode="RGB+D",
    )
    shape = (*(poses or views), camera.height, camera.width)
    return Render(image[..., :3].reshape(*shape, 3), alpha.reshape(*shape, 1), image[..., 3:].reshape(*shape, 1))


def colours(gaussians: Gaussians, w2c: Float[Tensor, "*b c 4 4"]) -> Tensor:
    """Returns the splats' colours, (*b c n 3), or (*b n 3) where no view changes them."""
    sh = gaussians.sh
    if sh.shape[-2] == 1:
        return 0.5 + SH_C0 * sh[..., 0, :]
    rotation, translation = w2c[..., :3, :3], w2c[..., :3, 3:]
    position = -(rotation.mT @ translation).mT  # *b c 1 3
    towards = torch.nn.functional.normalize(gaussians.means[..., None, :, :] - position, dim=-1)
    return 0.5 + torch.einsum("...cnk,...nkd->...cnd", sh_values(towards, sh.shape[-2]), sh)
