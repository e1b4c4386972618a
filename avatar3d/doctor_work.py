"""What `doctor --cuda` times beside the rasterizer: the other ops, at the sizes of a fit."""

from collections.abc import Callable

import torch

from avatar3d.bench import head_scene
from avatar3d.core import Basis, Binding
from avatar3d.ops import blend, closest, field, image, optim
from avatar3d.ops.field_types import Grid, Occupancy, Rays

Work = dict[str, Callable[[], object]]


def work(kind: str, device: str, share: float = 1.0) -> Work:
    """Returns, by name, runs of each op on random data, forward and backward where there is a backward.

    Args:
        kind: The backend that runs.
        device: Where its tensors are.
        share: 1 for 50,000 splats, 4096 rays and 512 x 512 pixels; less for the emulator.
    """
    random = torch.Generator().manual_seed(1)

    def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return (scale * torch.randn(shape, generator=random)).to(device).requires_grad_()

    def uniform(*shape: int) -> torch.Tensor:
        return torch.rand(shape, generator=random).to(device)

    n, k, poses, side = int(50_000 * share), 20, 4, max(8, int(512 * share**0.5))
    v, f, r, m = int(9_000 * share) + 3, int(18_000 * share) + 1, int(4096 * share), int(131_072 * share)
    splats = head_scene(n).map(lambda x: x.to(device).requires_grad_())
    faces = torch.randint(v, (f, 3), generator=random, dtype=torch.int32).to(device)
    binding = Binding(torch.randint(f, (n,), generator=random, dtype=torch.int32).to(device), uniform(n, 3))
    basis = Basis(normal(k, n, 3), normal(k, n, 4), normal(k, n, 3), ())
    weights, vertices = normal(poses, k), normal(poses, v, 3)

    def pose() -> None:
        world = blend.pose_splats(splats, binding, basis, weights, vertices, faces, backend=kind)
        (world.means.sum() + world.quats.sum() + world.log_scales.sum() + world.sh.sum()).backward()

    render, target = uniform(1, side, side, 3).requires_grad_(), uniform(1, side, side, 3)
    value, gradient, moments = uniform(n, 48), uniform(n, 48), (uniform(n, 48), uniform(n, 48))
    grid = Grid()
    points, table = uniform(m, 3).requires_grad_(), grid.table(random).to(device).requires_grad_()
    x, matrices = normal(m, 32), [normal(64, 32, scale=0.2), normal(64, 64, scale=0.2), normal(4, 64, scale=0.2)]
    occupancy = Occupancy(uniform(64, 64, 64) < 0.1, torch.tensor([[-1.0] * 3, [1.0] * 3], device=device))
    directions = torch.nn.functional.normalize(uniform(r, 3) - 0.5, dim=-1)
    ends = (torch.zeros(r, device=device), torch.full((r,), 2.0, device=device))
    rays = Rays(torch.zeros(r, 3, device=device), directions, *ends)
    samples = field.march(rays, occupancy, 0.01, backend=kind)
    density, colour = uniform(len(samples)).requires_grad_(), uniform(len(samples), 3).requires_grad_()

    def volume() -> None:
        light = field.composite(density, colour, samples, backend=kind)
        (light.rgb.sum() + light.alpha.sum() + light.depth.sum()).backward()

    sheet, quads = _sheet(max(4, int((f / 2) ** 0.5)), device)
    near = sheet[torch.randint(len(sheet), (m,), generator=random).sort().values.to(device)] + 0.01 * uniform(m, 3)

    return {
        f"pose, {n} splats, {k} shapes, {poses} poses": pose,
        f"loss, {side} px": lambda: image.l1_ssim(render, target, backend=kind).backward(),
        f"adam, {n} x 48": lambda: optim.adam_step(value, gradient, moments, 1, 0.01, backend=kind),
        f"encode, {m} points": lambda: field.encode(points, table, grid, backend=kind).sum().backward(),
        f"mlp, {m} x 32-64-64-4": lambda: field.mlp(x, matrices, backend=kind).sum().backward(),
        f"march, {r} rays": lambda: field.march(rays, occupancy, 0.01, backend=kind),
        f"volume, {len(samples)} samples": volume,
        f"closest, {m} points, {len(quads)} faces": lambda: closest.closest(near, sheet, quads, backend=kind),
    }


def _sheet(side: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns vertices and faces of a wavy surface of `side` x `side` vertices, 20 cm wide."""
    up, along = torch.meshgrid(*[torch.linspace(-0.1, 0.1, side)] * 2, indexing="ij")
    vertices = torch.stack([up, along, 0.02 * (40 * up).sin() * (30 * along).cos()], -1).reshape(-1, 3)
    corner = torch.arange((side - 1) * side).reshape(-1, side)[:, :-1].reshape(-1, 1)
    faces = torch.cat([corner + torch.tensor([0, 1, side]), corner + torch.tensor([1, side + 1, side])])
    return vertices.to(device), faces.to(device)
