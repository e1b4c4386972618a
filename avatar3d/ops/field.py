"""Radiance fields: rays through an occupancy grid, a hash grid of features, a small network, light along rays.

A field is rendered by `march` -> `Rays.points` -> `encode` -> `mlp` -> `composite`. The formulas are in
`reference_field`, whose functions have the same names.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int32
from torch import Tensor

from avatar3d.core import AvatarError
from avatar3d.ops import backends, reference_field
from avatar3d.ops.field_kernels import Composite as _Composite
from avatar3d.ops.field_kernels import Encode as _Encode
from avatar3d.ops.field_kernels import Mlp as _Mlp
from avatar3d.ops.field_kernels import march as _march
from avatar3d.ops.field_types import Grid, Light, Occupancy, Rays, Samples

__all__ = ["Grid", "Light", "Occupancy", "Rays", "Samples", "composite", "encode", "march", "mlp"]

MLP_WIDTH, MLP_LAYERS = {"cpu": 128, "cuda": 64, "emulated": 64}, 8
"""Widest layer and most layers that the fused kernels take; larger networks go through PyTorch's own products."""


def encode(
    points: Float[Tensor, "m 3"], table: Float[Tensor, "rows features"], grid: Grid, backend: str = "auto"
) -> Float[Tensor, "m width"]:
    """Returns features of points by a multiresolution hash grid (Mueller et al. 2022), differentiable in both inputs.

    Trilinear in each level; coarse levels are dense, those with more vertices than rows are hashed. The layout of the
    table is that of tiny-cuda-nn. The same bits for any number of threads on the CPU; on CUDA the gradient of the table
    is summed by atomics, so that its last bits vary.

    Args:
        points: In the unit cube; clamped to it, with no gradient outside.
        table: All levels' rows, `grid.rows` of `grid.features` numbers.
        grid: Levels and sizes.
        backend: `auto`, or one of the op's backends (`avatar3d doctor` lists them).

    Raises:
        AvatarError: The table does not belong to the grid.
    """
    if tuple(table.shape) != (grid.rows, grid.features):
        raise AvatarError(f"encode: a table of {tuple(table.shape)}, the grid wants {(grid.rows, grid.features)}")
    kind = backends.choose("encode", {"points": points, "table": table}, backend)
    if kind == "reference":
        return reference_field.encode(points, table, grid)
    if kind == "tinycudann":
        from avatar3d.ops.backends import via_tinycudann

        return via_tinycudann.encode(points, table, grid)
    return _Encode.apply(points, table, grid, kind)  # type: ignore[return-value]


def march(
    rays: Rays,
    occupancy: Occupancy,
    step: float,
    jitter: Float[Tensor, " r"] | None = None,
    limit: int | None = None,
    first: Int32[Tensor, " r"] | None = None,
    backend: str = "auto",
) -> Samples:
    """Returns samples along rays where space is occupied, packed ray after ray; no gradient.

    Ray i is sampled at near + (k + jitter) step for whole k, where that lies before far and in an occupied cell of the
    box. So the grid changes which samples are made, never where they are.

    Args:
        rays: Where to look.
        occupancy: Which cells of a box hold something.
        step: Distance between samples, in the unit of t (metres for unit directions).
        jitter: In [0, 1), of each ray; 0.5 without.
        limit: At most so many samples of a ray, the first ones: with `first`, a picture is made in rounds, and rays
            that are opaque already are left out of the next.
        first: The k to begin with, as `Samples.next` of the round before.
        backend: As in `encode`.

    Raises:
        AvatarError: A step or limit out of range, or rays that do not fit.
    """
    r = len(rays.near)
    if not 0 < step < float("inf") or (limit is not None and limit < 1):
        raise AvatarError(f"march: step {step}, limit {limit}; both must be more than 0")
    if any(x is not None and len(x) != r for x in (rays.origins, rays.directions, rays.far, jitter, first)):
        raise AvatarError(f"march: origins, directions, far, jitter and first must be of {r} rays, as near is")
    tensors = {"origins": rays.origins, "directions": rays.directions, "near": rays.near, "far": rays.far}
    tensors |= {"occupancy": occupancy.cells, "box": occupancy.box}
    tensors |= {name: x for name, x in (("jitter", jitter), ("first", first)) if x is not None}
    kind = backends.choose("march", tensors, backend)
    rays, occupancy = rays.detach(), occupancy.detach()
    jitter = torch.full_like(rays.near, 0.5) if jitter is None else jitter.detach()
    limit = (1 << 31) - 2 if limit is None else limit
    if kind == "nerfacc":
        from avatar3d.ops.backends import via_nerfacc

        return via_nerfacc.march(rays, occupancy, step, jitter, limit, first)
    run = reference_field.march if kind == "reference" else _march
    return run(rays, occupancy, step, jitter, limit, first, *(() if kind == "reference" else (kind,)))


def composite(
    density: Float[Tensor, " m"], colour: Float[Tensor, "m 3"], samples: Samples, backend: str = "auto"
) -> Light:
    """Returns what rays see of a volume, differentiable in density and colour.

    alpha = 1 - exp(-density dt), weight = alpha times the light that is left; a ray ends once no more than 1e-4 of it
    is (Max 1995; Mildenhall et al. 2020). Nothing lies behind: a background adds (1 - alpha) times its colour.

    Args:
        density: Not negative, in 1 / unit of t.
        colour: Of each sample.
        samples: From `march`.
        backend: As in `encode`.

    Raises:
        AvatarError: The numbers of samples differ.
    """
    if len(density) != len(samples.t) or len(colour) != len(samples.t):
        raise AvatarError(f"composite: {len(density)} densities and {len(colour)} colours for {len(samples.t)} samples")
    tensors = {"density": density, "colour": colour, "t": samples.t, "offsets": samples.offsets}
    kind = backends.choose("volume", tensors, backend)
    if kind == "reference":
        return reference_field.composite(density, colour, samples)
    if kind == "nerfacc":
        from avatar3d.ops.backends import via_nerfacc

        return via_nerfacc.composite(density, colour, samples)
    return Light(*_Composite.apply(density, colour, samples, kind))


def mlp(
    x: Float[Tensor, "m c"],
    weights: Sequence[Float[Tensor, "_ _"]],
    biases: Sequence[Float[Tensor, " _"]] | None = None,
    backend: str = "auto",
) -> Float[Tensor, "m k"]:
    """Returns the output of dense layers with ReLU between them, differentiable in everything.

    One pass over the samples, forward and backward: activations never leave the cache (on CUDA: shared memory) and are
    computed again for the gradient. The same bits for any number of threads.

    Args:
        x: Inputs.
        weights: A matrix for each layer.
        biases: A vector for each layer, or None. What all samples share, such as a pose, is cheapest as a bias.
        backend: As in `encode`.

    Raises:
        AvatarError: The matrices do not follow on each other.
    """
    widths = [x.shape[-1], *(len(w) for w in weights)]
    shapes = [tuple(w.shape) for w in weights]
    biases = [w.new_zeros(len(w)) for w in weights] if biases is None else list(biases)
    if not weights or shapes != list(zip(widths[1:], widths[:-1], strict=True)):
        raise AvatarError(f"mlp: matrices {shapes} do not follow on an input of {x.shape[-1]}, or on each other")
    if [tuple(b.shape) for b in biases] != [(w,) for w in widths[1:]]:
        raise AvatarError(f"mlp: biases of {[tuple(b.shape) for b in biases]} for layers of {widths[1:]}")
    tensors: Mapping[str, Tensor] = {"x": x} | {f"weights[{i}]": w for i, w in enumerate(weights)}
    tensors = {**tensors, **{f"biases[{i}]": b for i, b in enumerate(biases)}}
    kind = backends.choose("mlp", tensors, backend)
    if kind == "reference" or max(widths) > MLP_WIDTH[kind] or len(weights) > MLP_LAYERS:
        return reference_field.mlp(x, weights, biases)
    parameters = torch.cat(
        [part for pair in zip(weights, biases, strict=True) for part in (pair[0].flatten(), pair[1])]
    )
    return _Mlp.apply(x, parameters, tuple(widths), kind)  # type: ignore[return-value]
