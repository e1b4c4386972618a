"""The poser's kernels, run by the emulator, against the float64 twin and the CPU library."""

import functools

import pytest
import torch

from avatar3d.core import Basis, Binding, Gaussians
from avatar3d.ops import native, reference_fit

WORLD = ("means", "quats", "log_scales", "colours")


@functools.cache
def scene(n: int, k: int, b: int, dtype=torch.float32):
    """Splats on random triangles of some centimetres, their blendshapes, poses, and cotangents."""
    random = torch.Generator().manual_seed(n + k + b)

    def noise(*shape, scale=1.0):
        return (torch.randn(*shape, generator=random, dtype=torch.float64) * scale).to(dtype)

    v, f = 40, 60
    faces = torch.stack([torch.randperm(v, generator=random)[:3] for _ in range(f)]).int()
    vertices = noise(v, 3, scale=0.1) + noise(b, v, 3, scale=0.01)
    local = {"means": noise(n, 3, scale=0.5), "quats": noise(n, 4), "log_scales": noise(n, 3, scale=0.3) - 2}
    local["colours"] = noise(n, 3, scale=0.3)
    bary = noise(n, 3).abs() + 0.1
    face = torch.randint(0, f, (n,), generator=random).int()
    basis = [noise(k, n, c, scale=0.2) for c in (3, 4, 3)] if k else [None] * 3
    weights = noise(b, k, scale=0.5) if k else None
    given = [noise(b, n, c) for c in (3, 4, 3, 3)]
    return vertices, faces, local, face, bary / bary.sum(-1, keepdim=True), basis, weights, given


def run(call, n: int, k: int, b: int, corners: bool = True, of_basis: bool = True) -> dict[str, torch.Tensor]:
    """World splats and all gradients, by name; `call` is a3d_pose_* of one library or the other."""
    vertices, faces, local, face, bary, basis, weights, given = scene(n, k, b)
    v, f = vertices.shape[1], len(faces)
    frames = torch.empty(b, f, 24)
    call("pose_frames", vertices, faces, b, v, f, frames)
    world = [torch.empty(b, n, c) for c in (3, 4, 3, 3)]
    inverse = torch.empty(b, n)
    call("pose_forward", *local.values(), face, bary, *basis, weights, frames, n, k, b, f, *world, inverse)
    grads = {f"g_{name}": torch.empty_like(x) for name, x in local.items()}
    shapes = [torch.empty_like(x) if of_basis and x is not None else None for x in basis]
    parts, g_weights = torch.empty(-(-n // 256), b, k), torch.empty(b, k)
    g_corners = torch.empty(b, n, 9) if corners else None
    call(
        *("pose_backward", local["means"], local["quats"], face, bary, *basis, weights, frames, n, k, b, f),
        *(*world[:2], inverse, *given, *grads.values(), *shapes, parts, g_weights if k else None, g_corners),
    )
    out = dict(zip(WORLD, world, strict=True)) | grads
    if k:
        out["g_weights"] = g_weights
        out |= {f"g_basis_{i}": x for i, x in enumerate(shapes) if x is not None}
    if corners:
        out["g_vertices"] = torch.empty(b, v, 3)
        call("pose_scatter", g_corners, face, faces, n, b, v, out["g_vertices"])
    return out


def by_cpu(name, *arguments):
    native.call(f"a3d_{name}", *arguments, 1)


def by_emulator(library):
    return lambda name, *arguments: library.call(f"a3d_gpu_{name}", *arguments, None)


@functools.cache
def twin(n: int, k: int, b: int) -> dict[str, torch.Tensor]:
    vertices, faces, local, face, bary, basis, weights, given = scene(n, k, b, torch.float64)
    leaves = {f"g_{name}": x.clone().requires_grad_() for name, x in local.items()}
    leaves["g_vertices"] = vertices.clone().requires_grad_()
    if k:
        leaves["g_weights"] = weights.clone().requires_grad_()
        leaves |= {f"g_basis_{i}": x.clone().requires_grad_() for i, x in enumerate(basis)}
    splats = Gaussians(
        *(leaves[f"g_{name}"] for name in ("means", "quats", "log_scales")),
        torch.zeros(n, dtype=torch.float64),
        leaves["g_colours"][:, None],
    )
    shapes = Basis(*(leaves[f"g_basis_{i}"] for i in range(3)), ()) if k else None
    posed = reference_fit.pose_splats(
        *(splats, Binding(face.long(), bary), shapes, leaves.get("g_weights"), leaves["g_vertices"], faces.long())
    )
    world = (posed.means, posed.quats, posed.log_scales, posed.sh[..., 0, :])
    total = sum((x * g).sum() for x, g in zip(world, given, strict=True))
    grads = torch.autograd.grad(total, list(leaves.values()))
    return {k: x.detach() for k, x in zip(WORLD, world, strict=True)} | dict(zip(leaves, grads, strict=True))


def assert_close(got: dict[str, torch.Tensor], want: dict[str, torch.Tensor]) -> None:
    assert got.keys() == want.keys()
    for name, x in want.items():
        scale = float(x.abs().max())
        assert scale > 0.01, name
        torch.testing.assert_close(got[name].double(), x.double(), atol=3e-5 * scale, rtol=1e-4, msg=name)


@pytest.mark.parametrize("n, k, b", [(300, 20, 6), (40, 0, 2), (256, 1, 1)])
def test_equals_the_twin_and_the_cpu_library(emulated, n, k, b):
    """Two blocks, more blendshapes than fit in shared memory at a time (16), more poses than a group (4)."""
    got = run(by_emulator(emulated), n, k, b)
    assert_close(got, twin(n, k, b))
    assert_close(got, run(by_cpu, n, k, b))


def test_same_bits_in_every_order_of_threads(library):
    results = []
    try:
        for order in ("forward", "reverse", "random"):
            library.order(order)
            results.append(run(by_emulator(library), 300, 20, 6))
    finally:
        library.order("forward")
    for other in results[1:]:
        for name, x in results[0].items():
            if name == "g_vertices":  # by atomics
                torch.testing.assert_close(x, other[name], rtol=1e-5, atol=1e-5 * float(x.abs().max()))
            else:
                assert torch.equal(x, other[name]), name


def test_only_wanted_gradients_are_made(library):
    whole = run(by_emulator(library), 300, 20, 6)
    some = run(by_emulator(library), 300, 20, 6, corners=False, of_basis=False)
    assert whole.keys() - some.keys() == {"g_vertices", "g_basis_0", "g_basis_1", "g_basis_2"}
    assert all(torch.equal(x, whole[name]) for name, x in some.items())


def test_collapsed_triangles_stay_finite(library):
    vertices, faces = torch.zeros(1, 3, 3), torch.tensor([[0, 1, 2]], dtype=torch.int32)
    frames = torch.empty(1, 1, 24)
    by_emulator(library)("pose_frames", vertices, faces, 1, 3, 1, frames)
    assert torch.isfinite(frames).all()


def test_too_many_poses_are_refused(library):
    from emulated import EmulatorError

    nothing = torch.zeros(1)
    with pytest.raises(EmulatorError, match="70000 poses"):
        by_emulator(library)("pose_frames", nothing, torch.zeros(3).int(), 70000, 1, 1, nothing)
