"""`.splat` (antimatter15): 32 bytes a splat, colours of degree 0, no header."""

import numpy as np
import torch

from avatar3d.core import AvatarError, Gaussians
from avatar3d.export.splats import C0, as_numpy, check_count, from_arrays, opacities, to_logits

_ROW = np.dtype([("position", "<f4", 3), ("scale", "<f4", 3), ("colour", "u1", 4), ("rotation", "u1", 4)])


def write(gaussians: Gaussians) -> bytes:
    """Returns splats as rows, the largest and most opaque first: viewers show the file while it loads."""
    weight = gaussians.log_scales.sum(-1).exp() * gaussians.logits.sigmoid()
    g = gaussians.gather(torch.sort(weight, descending=True, stable=True).indices)
    rows = np.zeros(len(g), _ROW)
    rows["position"], rows["scale"] = as_numpy(g.means), as_numpy(g.scales)
    rows["colour"][:, :3] = _byte((as_numpy(g.sh[:, 0]) * C0 + 0.5) * 255)
    rows["colour"][:, 3] = _byte(opacities(g) * 255)
    rows["rotation"] = _byte(as_numpy(g.quats) * 128 + 128)
    return rows.tobytes()


def read(data: bytes, where: str) -> Gaussians:
    """Returns the splats of a `.splat` file.

    Raises:
        AvatarError: Of a length that is not a multiple of 32 bytes, empty, with NaN, or with scales that are negative.
    """
    if len(data) % _ROW.itemsize:
        raise AvatarError(f"{where}: {len(data)} bytes, not a multiple of {_ROW.itemsize}: truncated, or no .splat")
    check_count(len(data) // _ROW.itemsize, where)
    rows = np.frombuffer(data, _ROW)
    scale = rows["scale"]
    if not (np.isfinite(scale) & (scale >= 0)).all():
        bad = int((~(np.isfinite(scale) & (scale >= 0)).all(1)).argmax())
        raise AvatarError(f"{where}: splat {bad} has a scale that is no length; is this a .splat file?")
    sh = (rows["colour"][:, None, :3] / 255 - 0.5) / C0
    quats = rows["rotation"].astype(np.float64) - 128
    return from_arrays(
        rows["position"], quats, np.log(np.maximum(scale, 1e-12)), to_logits(rows["colour"][:, 3] / 255), sh, where
    )


def _byte(values: np.ndarray) -> np.ndarray:
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)
