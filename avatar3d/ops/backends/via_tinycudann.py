"""Hash grids by tiny-cuda-nn (Mueller 2021; written against its PyTorch bindings 2.0, the only file that imports it).

Our tables have its layout, so a table means the same in both. Its networks are not used: they keep parameters in half
precision and have no biases, so they are other networks than ours. Not run on a device by us: arguments are checked
against its published bindings (tests/ops/test_backends.py).
"""

import functools

import torch
from torch import Tensor

from avatar3d.ops.field_types import Grid


def probe() -> None:
    """Raises what keeps tiny-cuda-nn from working: importing it already looks for the device and its extension."""
    from tinycudann import Encoding  # pyright: ignore[reportMissingImports]

    if not callable(Encoding):
        raise RuntimeError("it has no encodings")


def encode(points: Tensor, table: Tensor, grid: Grid) -> Tensor:
    """Returns features of points, as `ops.field.encode`, in float32; the table's gradient is summed by atomics."""
    module = _encoding(grid, str(points.device))
    inside = points.clamp(0, 1)  # it wraps around outside
    return torch.func.functional_call(module, {"params": table.flatten()}, (inside,))


@functools.lru_cache(maxsize=8)
def _encoding(grid: Grid, device: str):
    from tinycudann import Encoding  # pyright: ignore[reportMissingImports]

    config = {
        "otype": "HashGrid",
        "n_levels": grid.levels,
        "n_features_per_level": grid.features,
        "log2_hashmap_size": grid.log2_rows,
        "base_resolution": grid.base,
        "per_level_scale": grid.growth,
        "interpolation": "Linear",
    }
    with torch.cuda.device(device):
        module = Encoding(n_input_dims=3, encoding_config=config, dtype=torch.float32)
    if module.params.numel() != grid.rows * grid.features:
        raise RuntimeError(f"tiny-cuda-nn makes {module.params.numel()} numbers of {grid}, we make {grid.rows} rows")
    return module
