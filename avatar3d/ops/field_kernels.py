"""The kernels of radiance fields behind autograd: one path for the CPU library and for the CUDA one, which agree."""

import torch
from torch import Tensor

from avatar3d.ops.field_types import Grid, Occupancy, Rays, Samples
from avatar3d.ops.gpu import Host, run


class Encode(torch.autograd.Function):
    """Forward and backward of the hash grid."""

    @staticmethod
    def forward(ctx, points: Tensor, table: Tensor, grid: Grid, kind: str):  # type: ignore[override]
        points, table = points.contiguous(), table.contiguous()
        out = points.new_empty(len(points), grid.width)
        ctx.grid, ctx.kind = grid, kind
        ctx.save_for_backward(points, table)
        run(kind, "grid_encode", *Encode._sizes(points, table, grid), out)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, given: Tensor):  # type: ignore[override]
        points, table = ctx.saved_tensors
        of_points = torch.empty_like(points) if ctx.needs_input_grad[0] else None
        of_table = torch.empty_like(table) if ctx.needs_input_grad[1] else None
        sizes = Encode._sizes(points, table, ctx.grid)
        run(ctx.kind, "grid_backward", *sizes, given.contiguous(), of_table, of_points)
        return of_points, of_table, None, None

    @staticmethod
    def _sizes(points: Tensor, table: Tensor, grid: Grid) -> tuple:
        levels = (Host(grid.scales), Host(grid.shapes))
        return (points, table, *levels, len(points), grid.levels, grid.features, len(table))


class Mlp(torch.autograd.Function):
    """Forward and backward of the network; parameters are packed as the C interface wants them."""

    @staticmethod
    def forward(ctx, x: Tensor, parameters: Tensor, widths: tuple[int, ...], kind: str):  # type: ignore[override]
        x, parameters = x.contiguous(), parameters.contiguous()
        out = x.new_empty(len(x), widths[-1])
        ctx.sizes = (Host(torch.tensor(widths)), len(x), len(widths) - 1)
        ctx.kind = kind
        ctx.save_for_backward(x, parameters)
        run(kind, "mlp_forward", x, parameters, *ctx.sizes, out)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, given: Tensor):  # type: ignore[override]
        x, parameters = ctx.saved_tensors
        floats = torch.zeros(1, dtype=torch.int64)
        run(ctx.kind, "mlp_workspace", *ctx.sizes, Host(floats))
        parts = x.new_empty(int(floats))
        of_x = torch.empty_like(x) if ctx.needs_input_grad[0] else None
        of_parameters = torch.empty_like(parameters)
        run(ctx.kind, "mlp_backward", x, parameters, *ctx.sizes, given.contiguous(), parts, of_x, of_parameters)
        return of_x, of_parameters, None, None


class Composite(torch.autograd.Function):
    """Forward and backward of volume compositing."""

    @staticmethod
    def forward(ctx, density: Tensor, colour: Tensor, samples: Samples, kind: str):  # type: ignore[override]
        density, colour = density.contiguous(), colour.contiguous()
        rays = len(samples.offsets) - 1
        rgb, alpha, depth = (density.new_empty(rays, *c) for c in ((3,), (), ()))
        weights, used = torch.empty_like(density), torch.empty_like(samples.next)
        packed = tuple(x.contiguous() for x in (samples.t, samples.dt, samples.offsets))
        run(kind, "volume_forward", density, colour, *packed, rays, rgb, alpha, depth, weights, used)
        ctx.kind = kind
        ctx.save_for_backward(colour, *packed, alpha, weights, used)
        ctx.set_materialize_grads(False)
        return rgb, alpha, depth, weights

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, of_rgb, of_alpha, of_depth, of_weights):  # type: ignore[override]
        colour, t, dt, offsets, alpha, weights, used = ctx.saved_tensors
        rays = len(alpha)
        of_rgb = colour.new_zeros(rays, 3) if of_rgb is None else of_rgb
        given = [None if x is None else x.contiguous() for x in (of_rgb, of_alpha, of_depth, of_weights)]
        of_density, of_colour = torch.empty_like(t), torch.empty_like(colour)
        scene = (colour, t, dt, offsets, rays, alpha, weights, used)
        run(ctx.kind, "volume_backward", *scene, *given, of_density, of_colour)
        return of_density, of_colour, None, None


def march(
    rays: Rays,
    occupancy: Occupancy,
    step: float,
    jitter: Tensor,
    limit: int,
    first: Tensor | None,
    kind: str,
) -> Samples:
    """Returns samples in occupied cells; the kernel half of `field.march`."""
    r, near = len(rays.near), rays.near
    cells = Host(torch.tensor(occupancy.cells.shape[::-1]))
    given = [x.contiguous() for x in (rays.origins, rays.directions, near, rays.far, jitter)]
    box = Host(occupancy.box.cpu().contiguous())
    first = None if first is None else first.contiguous()
    scene = (*given, first, occupancy.cells.contiguous(), cells, box, step, limit, r)
    offsets = torch.zeros(r + 1, dtype=torch.int64, device=near.device)
    after = torch.empty(r, dtype=torch.int32, device=near.device)
    run(kind, "ray_count", *scene, offsets, after)
    if kind != "cpu":  # there each ray's own number; integers, so that the order of sums does not matter
        offsets.cumsum_(0)
    m = int(offsets[-1])
    t, ray_of = near.new_empty(m), torch.empty(m, dtype=torch.int32, device=near.device)
    run(kind, "ray_fill", *scene, offsets, t, ray_of)
    return Samples(t, torch.full_like(t, step), ray_of, offsets, after)
