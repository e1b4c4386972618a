"""gsplat's adapter: against a stand-in with its documented conventions, and our mathematics against gsplat's own
PyTorch functions where the package is installed (they need no GPU)."""

import inspect
import math
import sys
from types import ModuleType

import pytest
import torch

from avatar3d.core import AvatarError, Camera, Gaussians
from avatar3d.geometry import orbit
from avatar3d.ops import reference, splat
from avatar3d.ops.backends import registry, via_gsplat
from avatar3d.ops.reference import SH_C0

NAMES = ("means", "quats", "log_scales", "logits", "sh")


def rasterization(
    means,
    quats,
    scales,
    opacities,
    colors,
    viewmats,
    Ks,
    width,
    height,
    near_plane=0.01,
    far_plane=1e10,
    radius_clip=0.0,
    eps2d=0.3,
    sh_degree=None,
    packed=True,
    tile_size=16,
    backgrounds=None,
    render_mode="RGB",
    **more,
):
    """`gsplat.rasterization` 1.5.3 for `sh_degree=None`, `RGB+D`: axes [..., cameras, splats]; by our twin."""
    assert not more and sh_degree is None and render_mode == "RGB+D" and not packed
    assert (near_plane, eps2d) == (0.01, 0.3)
    batch, n, cameras = means.shape[:-2], means.shape[-2], viewmats.shape[-3]
    assert quats.shape == (*batch, n, 4) and scales.shape == (*batch, n, 3) and opacities.shape == (*batch, n)
    assert viewmats.shape == (*batch, cameras, 4, 4) and Ks.shape == (*batch, cameras, 3, 3)
    assert colors.shape in ((*batch, n, 3), (*batch, cameras, n, 3)) and backgrounds.shape == (*batch, cameras, 3)
    colors = colors if colors.ndim == means.ndim + 1 else colors.unsqueeze(-3).expand(*batch, cameras, n, 3)
    images = []
    for at in [(b, c) for b in range(math.prod(batch)) for c in range(cameras)]:
        b, c = at
        pick = lambda x, axes, b=b: x.reshape(-1, *x.shape[-axes:])[b]  # noqa: E731
        gaussians = Gaussians(
            *(pick(x, k) for x, k in ((means, 2), (quats, 2))),
            pick(scales, 2).log(),
            pick(opacities, 1).logit(),
            ((pick(colors, 3)[c] - 0.5) / SH_C0)[:, None],
        )
        view = Camera(pick(viewmats, 3)[c], pick(Ks, 3)[c], width, height)
        images.append(reference.rasterize(gaussians, view, pick(backgrounds, 2)[c]))
    stack = lambda name, k: torch.stack([getattr(x, name) for x in images]).view(*batch, cameras, height, width, k)  # noqa: E731
    return torch.cat([stack("rgb", 3), stack("depth", 1)], dim=-1), stack("alpha", 1), {}


def view_from(*yaw: float, width: int, height: int) -> Camera:
    """Returns one camera, or several."""
    cameras = orbit(torch.tensor(yaw), size=(width, height)).to(torch.float64)
    return cameras if len(yaw) > 1 else cameras.map(lambda x: x[0] if x.ndim > 2 else x)


def random_splats(n: int, bases: int, seed: int, batch: tuple[int, ...] = ()) -> Gaussians:
    random = torch.Generator().manual_seed(seed)
    normal = lambda *shape: torch.randn(*batch, n, *shape, generator=random, dtype=torch.float64)  # noqa: E731
    return Gaussians(0.06 * normal(3), normal(4), normal(3) * 0.4 - 4, normal(), normal(bases, 3) * 0.3)


@pytest.fixture
def stand_in(monkeypatch):
    package = ModuleType("gsplat")
    package.rasterization = rasterization  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gsplat", package)
    # As if the package were live for tensors on the CPU.
    monkeypatch.setattr(registry, "_takes", lambda backend, tensor: True)
    monkeypatch.setattr(registry, "_row", lambda op, name: registry.Row(True, "a test"))


@pytest.mark.parametrize("bases", [1, 9])
@pytest.mark.parametrize("case", ["one", "cameras", "poses"])
def test_the_adapter_draws_what_the_twin_draws(stand_in, case, bases):
    cameras = view_from(-0.4, 0.7, width=20, height=14)
    gaussians = random_splats(12, bases, 1, (2,) if case == "poses" else ())
    camera = cameras if case == "cameras" else cameras.map(lambda x: x[0] if x.ndim > 2 else x)
    background = torch.tensor([0.1, 0.4, 0.8], dtype=torch.float64)
    results = []
    for backend in ("gsplat", "reference"):
        leaves = gaussians.map(lambda x: x.clone().requires_grad_())
        w2c, back = camera.w2c.clone().requires_grad_(), background.clone().requires_grad_()
        view = Camera(w2c, camera.K, camera.width, camera.height)
        render = splat.rasterize(leaves, view, back, backend=backend, contribution=True)
        loss = render.rgb.square().sum() + render.alpha.sum() + render.depth.square().sum()
        grads = torch.autograd.grad(loss, [*(getattr(leaves, name) for name in NAMES), w2c, back])
        results.append((render.rgb, render.alpha, render.depth, render.aux["contribution"], *grads))
    assert results[0][1].max() > 0.3
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b, atol=1e-9, rtol=1e-7)


def test_gradients_that_gsplat_lacks_are_refused(stand_in):
    camera = view_from(0.0, width=8, height=8).to(torch.float32)
    asked = Camera(camera.w2c, camera.K.clone().requires_grad_(), 8, 8)
    with pytest.raises(AvatarError, match="gsplat gives no gradient to K"):
        splat.rasterize(random_splats(3, 1, 2).to(torch.float32), asked, backend="gsplat")


# ---- the real package ------------------------------------------------------------------------------------------------

MISSING = "gsplat is not installed: `pip install gsplat==1.5.3`"


def test_the_real_package_has_these_parameters():
    gsplat = pytest.importorskip("gsplat", reason=MISSING)
    real = inspect.signature(gsplat.rasterization).parameters
    ours = [name for name in inspect.signature(rasterization).parameters if name != "more"]
    assert list(real)[: len(ours)] == ours
    for name in ours[ours.index("near_plane") :]:
        assert real[name].default == inspect.signature(rasterization).parameters[name].default, name


@pytest.mark.parametrize("bases", [1, 4, 9, 16])
def test_our_projection_and_colours_are_gsplats(bases):
    theirs = pytest.importorskip("gsplat.cuda._torch_impl", reason=MISSING)
    camera = view_from(0.5, width=64, height=48)
    gaussians = random_splats(200, bases, 3)
    gaussians.means[:20] *= 5  # outside the image, where the Jacobian is bent
    got, want = [], []
    for out, theirs_too in ((got, False), (want, True)):
        g = gaussians.map(lambda x: x.clone().requires_grad_())
        w2c = camera.w2c.clone().requires_grad_()
        if theirs_too:
            covars, _ = theirs._quat_scale_to_covar_preci(g.quats, g.scales, compute_preci=False)
            fields = (g.means, covars, w2c[None], camera.K[None], camera.width, camera.height)
            _, means2d, depths, conics, _ = theirs._fully_fused_projection(*fields, eps2d=0.3, near_plane=0.01)
            # As R't: gsplat inverts the matrix, whose gradient differs from ours off the rotations, where none can go.
            directions = g.means + w2c[:3, :3].mT @ w2c[:3, 3]
            colour = theirs._spherical_harmonics(math.isqrt(bases) - 1, directions, g.sh) + 0.5
            values = (means2d[0], conics[0], depths[0], colour)
        else:
            view = Camera(w2c, camera.K, camera.width, camera.height)
            centre, covariance, z, colour = reference.project(g, view)
            assert torch.equal(colour, via_gsplat.colours(g, w2c[None]).reshape(-1, len(g), 3)[0])
            conic = torch.linalg.inv(covariance)
            values = (centre, torch.stack([conic[:, 0, 0], conic[:, 0, 1], conic[:, 1, 1]], dim=-1), z, colour)
        random = torch.Generator().manual_seed(8)
        loss = sum((x * torch.randn(x.shape, generator=random, dtype=x.dtype)).sum() for x in values)
        of = torch.autograd.grad(loss, (g.means, g.quats, g.log_scales, g.sh, w2c))
        out += [*values, *of]
    for a, b in zip(got, want, strict=True):
        assert float(((a - b).norm() / b.norm()).detach()) < 1e-6  # its constants of the harmonics have 9 digits


def test_our_blending_is_gsplats(monkeypatch):
    """Its `accumulate` composites pixel by pixel; NerfAcc's two functions under it need a GPU and are replaced."""
    theirs = pytest.importorskip("gsplat.cuda._torch_impl", reason=MISSING)

    def render_weight_from_alpha(alphas, ray_indices, n_rays):
        left = torch.ones(n_rays, dtype=alphas.dtype)
        trans = torch.empty_like(alphas)
        for i, ray in enumerate(ray_indices.tolist()):
            trans[i], left[ray] = left[ray], left[ray] * (1 - alphas[i])
        return alphas * trans, trans

    def accumulate_along_rays(weights, values, ray_indices, n_rays):
        source = weights[:, None] if values is None else weights[:, None] * values
        return source.new_zeros(n_rays, source.shape[1]).index_add(0, ray_indices, source)

    package = ModuleType("nerfacc")
    package.render_weight_from_alpha = render_weight_from_alpha  # type: ignore[attr-defined]
    package.accumulate_along_rays = accumulate_along_rays  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "nerfacc", package)
    camera = view_from(0.2, width=18, height=16)
    gaussians = random_splats(40, 1, 6)
    centre, covariance, z, colour = reference.project(gaussians, camera)
    conic, order = torch.linalg.inv(covariance), z.argsort()
    y, x = torch.meshgrid(torch.arange(16) + 0.5, torch.arange(18) + 0.5, indexing="ij")
    pixels = torch.stack([x, y], dim=-1).view(-1, 2).double()
    alpha = reference._alpha(centre[order], covariance[order], gaussians.opacities[order], pixels)
    open_ = (1 - alpha).cumprod(0) > reference.TRANSMITTANCE_MIN
    pixel, rank = ((alpha > 0) & open_).T.nonzero().unbind(-1)  # pixel by pixel, near to far
    conics = torch.stack([conic[:, 0, 0], conic[:, 0, 1], conic[:, 1, 1]], dim=-1)
    rgb, opacity = theirs.accumulate(
        *(centre[None], conics[None], gaussians.opacities[None], colour[None]),
        *(order[rank], pixel, torch.zeros_like(pixel), 18, 16),
    )
    want = reference.rasterize(gaussians, camera)
    torch.testing.assert_close(rgb[0], want.rgb, atol=1e-9, rtol=0)
    torch.testing.assert_close(opacity[0], want.alpha, atol=1e-9, rtol=0)
