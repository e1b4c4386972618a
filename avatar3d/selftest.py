"""Small runs of every op with known answers: what `doctor --cuda` puts through a device.

Inputs and answers are in `ops/data/golden.safetensors`, made by `python -m tools.golden`: answers come from the float64
twins, and beside each stands how far the emulated CUDA kernels were from it, which says how far a device may be.
"""

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from avatar3d.core import Basis, Binding, Camera, Gaussians
from avatar3d.ops import blend, closest, field, image, optim, splat
from avatar3d.ops.field_types import Grid, Occupancy, Rays, Samples

GOLDEN = Path(__file__).parent / "ops" / "data" / "golden.safetensors"
SLACK, FLOOR = 20.0, 2e-5
"""A device passes within SLACK times the emulator's own error, or FLOOR: it approximates exponentials and adds in other
orders, which costs a few bits; a bug costs all of them."""

Tensors = dict[str, Tensor]
GRID = Grid(levels=4, features=2, log2_rows=9, base=4)
_SPLATS = ("means", "quats", "log_scales", "logits", "sh")


@dataclass(frozen=True)
class Case:
    """One run of one op, forward and backward."""

    op: str
    run: Callable[[Tensors, str], Tensors]
    """Inputs and a backend to outputs and gradients."""


@dataclass(frozen=True)
class Golden:
    """A case's inputs and answers."""

    inputs: Tensors
    answers: Tensors
    emulator: Mapping[str, float]
    """Largest error of the emulated kernels for each answer, relative to its largest value."""


def golden(name: str) -> Golden:
    """Returns the stored data of a case."""
    with safe_open(str(GOLDEN), framework="pt") as file:
        keys = [key for key in file.keys() if key.startswith(f"{name}/")]  # noqa: SIM118
        parts = {key.removeprefix(f"{name}/"): file.get_tensor(key) for key in keys}
        errors = json.loads(file.metadata()["emulator"])[name]
    take = lambda kind: {k.removeprefix(kind): v for k, v in parts.items() if k.startswith(kind)}  # noqa: E731
    return Golden(take("in/"), take("out/"), errors)


def error(got: Tensor, want: Tensor) -> float:
    """Returns the largest difference, relative to the largest value; infinite for a NaN."""
    if got.shape != want.shape:
        return float("inf")
    got, want = got.detach().cpu().double(), want.double()
    worst = float((got - want).abs().max() / want.abs().max().clamp_min(1e-12)) if want.numel() else 0.0
    return worst if worst == worst else float("inf")


def compare(name: str, backend: str, device: str = "cpu") -> list[dict]:
    """Returns `{"op", "case", "output", "error", "limit", "ok"}` of each output of a case on a backend.

    Args:
        name: A key of `CASES`.
        backend: What computes: `cuda`, `emulated`, `cpu`.
        device: Where its tensors are.
    """
    data, case = golden(name), CASES[name]
    outputs = case.run({key: value.to(device) for key, value in data.inputs.items()}, backend)
    rows = []
    for key, want in data.answers.items():
        worst, limit = error(outputs[key], want), max(FLOOR, SLACK * data.emulator[key])
        rows.append({"op": case.op, "case": name, "output": key, "error": worst, "limit": limit, "ok": worst <= limit})
    return rows


# ---- the runs --------------------------------------------------------------------------------------------------------


def _gradients(outputs: Tensors, leaves: Tensors, inputs: Tensors) -> Tensors:
    """Returns the outputs, and the gradients of their products with the stored cotangents, by name."""
    loss = sum((value * inputs[f"to_{name}"].to(value.dtype)).sum() for name, value in outputs.items())
    grads = torch.autograd.grad(loss, list(leaves.values()))  # type: ignore[arg-type]
    return outputs | {f"grad_{name}": grad for name, grad in zip(leaves, grads, strict=True)}


def _leaves(inputs: Tensors, *names: str) -> Tensors:
    return {name: inputs[name].clone().requires_grad_() for name in names}


def _splat(size: tuple[int, int], inputs: Tensors, backend: str) -> Tensors:
    x = _leaves(inputs, *_SPLATS, "w2c", "K", "background")
    camera = Camera(x["w2c"], x["K"], *size)
    render = splat.rasterize(Gaussians(*(x[name] for name in _SPLATS)), camera, x["background"], backend=backend)
    return _gradients({"rgb": render.rgb, "alpha": render.alpha, "depth": render.depth}, x, inputs)


def _pose(inputs: Tensors, backend: str) -> Tensors:
    names = ("means", "quats", "log_scales", "sh", "basis_means", "basis_quats", "basis_sh", "weights", "vertices")
    x = _leaves(inputs, *names)
    world = blend.pose_splats(
        Gaussians(x["means"], x["quats"], x["log_scales"], x["means"][:, 0].detach(), x["sh"]),
        Binding(inputs["face"], inputs["bary"]),
        Basis(x["basis_means"], x["basis_quats"], x["basis_sh"], ()),
        x["weights"],
        x["vertices"],
        inputs["faces"],
        backend=backend,
    )
    outputs = {"world_means": world.means, "world_quats": world.quats, "world_log_scales": world.log_scales}
    return _gradients(outputs | {"world_sh": world.sh}, x, inputs)


def _loss(inputs: Tensors, backend: str) -> Tensors:
    x = _leaves(inputs, "render")
    loss = image.l1_ssim(x["render"], inputs["target"], inputs["weight"], 0.3, backend=backend)
    return {"loss": loss, "grad_render": torch.autograd.grad(loss, x["render"])[0]}


def _bytes(inputs: Tensors, backend: str) -> Tensors:
    out = image.to_bytes(inputs["rgb"], inputs["alpha"], backend=backend)
    return {"bytes": out.to(inputs["rgb"].dtype)}


def _composite(inputs: Tensors, backend: str) -> Tensors:
    names = ("images", "masks", "rows", "background")
    target, mask = image.composite(*(inputs[name] for name in names), shrink=2, backend=backend)
    return {"target": target, "mask": mask}


def _adam(inputs: Tensors, backend: str) -> Tensors:
    value, moments = inputs["value"].clone(), (inputs["first"].clone(), inputs["second"].clone())
    skip = inputs["skip"].bool()
    optim.adam_step(value, inputs["gradient"], moments, 3, 0.01, epsilon=1e-8, skip=skip, backend=backend)
    return {"value": value, "first": moments[0], "second": moments[1]}


def _encode(inputs: Tensors, backend: str) -> Tensors:
    x = _leaves(inputs, "points", "table")
    return _gradients({"features": field.encode(x["points"], x["table"], GRID, backend=backend)}, x, inputs)


def _march(inputs: Tensors, backend: str) -> Tensors:
    rays = Rays(*(inputs[name] for name in ("origins", "directions", "near", "far")))
    found = field.march(rays, Occupancy(inputs["cells"].bool(), inputs["box"]), 0.05, inputs["jitter"], backend=backend)
    return {"t": found.t, "ray": found.ray.to(found.t.dtype), "offsets": found.offsets.to(found.t.dtype)}


def _volume(inputs: Tensors, backend: str) -> Tensors:
    x = _leaves(inputs, "density", "colour")
    samples = Samples(*(inputs[name] for name in ("t", "dt", "ray", "offsets", "next")))
    light = field.composite(x["density"], x["colour"], samples, backend=backend)
    return _gradients({"rgb": light.rgb, "alpha": light.alpha, "depth": light.depth}, x, inputs)


def _mlp(inputs: Tensors, backend: str) -> Tensors:
    x = _leaves(inputs, "x", "w0", "w1", "b0", "b1")
    out = field.mlp(x["x"], [x["w0"], x["w1"]], [x["b0"], x["b1"]], backend=backend)
    return _gradients({"out": out}, x, inputs)


def _closest(inputs: Tensors, backend: str) -> Tensors:
    found = closest.closest(inputs["points"], inputs["vertices"], inputs["faces"], 0.4, backend=backend)
    kind = found.distance.dtype
    return {"face": found.face.to(kind), "bary": found.bary, "distance": found.distance}


CASES: dict[str, Case] = {
    "splat_rgb": Case("splat", functools.partial(_splat, (44, 36))),
    "splat_views": Case("splat", functools.partial(_splat, (32, 24))),
    "splat_poses": Case("splat", functools.partial(_splat, (24, 24))),
    "pose": Case("pose", _pose),
    "loss": Case("loss", _loss),
    "adam": Case("adam", _adam),
    "bytes": Case("bytes", _bytes),
    "composite": Case("composite", _composite),
    "encode": Case("encode", _encode),
    "march": Case("march", _march),
    "volume": Case("volume", _volume),
    "mlp": Case("mlp", _mlp),
    "closest": Case("closest", _closest),
}
"""By name; a test asks for a case of every op that has a CUDA backend."""
