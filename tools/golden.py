"""Makes avatar3d/ops/data/golden.safetensors: inputs, answers of the float64 twins, errors of the emulated kernels.

`make test-cuda` builds the emulator that it needs. Run it when a case of `avatar3d.selftest` changes.
"""

import json
import sys

import torch
from safetensors.torch import save_file
from torch import Tensor

from avatar3d import selftest
from avatar3d.core import Camera, Gaussians
from avatar3d.geometry import orbit
from avatar3d.ops import field, reference, reference_closest
from avatar3d.ops.field_types import Occupancy, Rays
from avatar3d.selftest import CASES, GOLDEN, GRID, Tensors


def normal(random: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=random)


def uniform(random: torch.Generator, *shape: int) -> Tensor:
    return torch.rand(shape, generator=random)


def splats(
    random: torch.Generator, n: int, bases: int, size: tuple[int, int], yaw: tuple[float, ...], poses: int = 0
) -> Tensors:
    """Returns splats that fill the image and close pixels; none is near a threshold, where float32 falls either way."""
    camera = orbit(torch.tensor(yaw), size=size)
    if len(yaw) == 1:
        camera = camera.map(lambda x: x[0] if x.ndim > 2 else x)
    batch = (poses,) if poses else ()
    gaussians = Gaussians(
        0.055 * normal(random, *batch, n, 3) + torch.tensor([0.0, -0.03, -0.02]),
        normal(random, *batch, n, 4),
        0.4 * normal(random, *batch, n, 3) - 4.3,
        1.0 + 1.5 * normal(random, *batch, n),
        normal(random, *batch, n, bases, 3) * (0.5 / bases),
    )
    gaussians = steady(gaussians, camera)
    kept = {name: getattr(gaussians, name).contiguous() for name in ("means", "quats", "log_scales", "logits", "sh")}
    K = camera.K.expand(*camera.w2c.shape[:-2], 3, 3).contiguous()
    return kept | {"w2c": camera.w2c.contiguous(), "K": K, "background": torch.tensor([0.2, 0.5, 0.7])}


def steady(gaussians: Gaussians, camera: Camera) -> Gaussians:
    """Returns the splats without those that come within a hair of 1/255, of 0.999, or of closing a pixel."""
    for _ in range(40):
        bad = torch.zeros(len(gaussians), dtype=torch.bool)
        poses = gaussians.means.shape[0] if gaussians.means.ndim == 3 else 1
        views = camera.w2c.shape[0] if camera.w2c.ndim == 3 else 1
        for pose in range(poses):
            for view in range(views):
                one = gaussians.map(lambda x, i=pose: x[i]) if gaussians.means.ndim == 3 else gaussians
                bad |= unsteady(one.to(torch.float64), camera.at(view).to(torch.float64))
        if not bad.any():
            return gaussians
        gaussians = gaussians.gather((~bad).nonzero()[:, 0])
    raise RuntimeError("no scene off the thresholds found")


def unsteady(gaussians: Gaussians, camera: Camera) -> Tensor:
    """Returns which splats are near a threshold at some pixel."""
    centre, covariance, z, _ = reference.project(gaussians, camera)
    y, x = torch.meshgrid(torch.arange(camera.height) + 0.5, torch.arange(camera.width) + 0.5, indexing="ij")
    offset = torch.stack([x, y], dim=-1).view(-1, 2).double() - centre[:, None]
    raw = gaussians.opacities[:, None] * torch.exp(
        -0.5 * torch.einsum("npi,nij,npj->np", offset, torch.linalg.inv(covariance), offset)
    )
    alpha = torch.where(raw < reference.ALPHA_MIN, 0.0, raw.clamp_max(reference.ALPHA_MAX))
    order, after = z.argsort(), torch.empty_like(alpha)
    after[order] = (1 - alpha[order]).cumprod(0)
    near = ((raw * 255 - 1).abs() < 1e-3) | ((raw / reference.ALPHA_MAX - 1).abs() < 1e-3)
    near |= ((after / reference.TRANSMITTANCE_MIN - 1).abs() < 3e-3) & (alpha > 0)
    return near.any(dim=1)


def pose(random: torch.Generator) -> Tensors:
    n, k, b, v, f = 100, 3, 2, 30, 40
    bary = uniform(random, n, 3)
    return {
        "means": 0.3 * normal(random, n, 3),
        "quats": normal(random, n, 4),
        "log_scales": normal(random, n, 3) - 2,
        "sh": normal(random, n, 1, 3),
        "basis_means": 0.1 * normal(random, k, n, 3),
        "basis_quats": 0.1 * normal(random, k, n, 4),
        "basis_sh": 0.1 * normal(random, k, n, 3),
        "weights": normal(random, b, k),
        "vertices": normal(random, b, v, 3),
        "faces": torch.stack([torch.randperm(v, generator=random)[:3] for _ in range(f)]).int(),
        "face": torch.randint(f, (n,), generator=random, dtype=torch.int32),
        "bary": bary / bary.sum(1, keepdim=True),
    }


def march(random: torch.Generator) -> Tensors:
    r = 60
    origins = torch.nn.functional.normalize(normal(random, r, 3), dim=-1) * 2
    towards = uniform(random, r, 3) - 0.5 - origins
    return {
        "origins": origins,
        "directions": torch.nn.functional.normalize(towards, dim=-1),
        "near": torch.full((r,), 0.5),
        "far": torch.full((r,), 3.1),
        "jitter": uniform(random, r),
        "cells": (uniform(random, 7, 6, 5) < 0.4).to(torch.uint8),
        "box": torch.tensor([[-0.6, -0.5, -0.4], [0.5, 0.6, 0.7]]),
    }


def volume(random: torch.Generator) -> Tensors:
    x = march(random)
    rays = Rays(*(x[name] for name in ("origins", "directions", "near", "far")))
    samples = field.march(rays, Occupancy(x["cells"].bool(), x["box"]), 0.05, x["jitter"], backend="reference")
    light = {"density": 25 * uniform(random, len(samples)), "colour": uniform(random, len(samples), 3)}
    return light | {name: getattr(samples, name) for name in ("t", "dt", "ray", "offsets", "next")}


def closest(random: torch.Generator) -> Tensors:
    """Returns faces of all shapes, and points that one face alone is closest to."""
    vertices, faces = normal(random, 60, 3), torch.stack([torch.randperm(60, generator=random)[:3] for _ in range(90)])
    points = 1.5 * normal(random, 400, 3)
    each = torch.stack(
        [reference_closest.closest(points.double(), vertices.double(), face[None], 1e9)[2] for face in faces]
    )
    nearest = each.sort(0).values
    clear = (nearest[1] - nearest[0] > 1e-3) & ((nearest[0] - 0.4).abs() > 1e-3)
    return {"points": points[clear][:48], "vertices": vertices, "faces": faces.int()}


def loss(random: torch.Generator) -> Tensors:
    shape = (2, 29, 21)
    return {name: uniform(random, *shape, 3) for name in ("render", "target")} | {"weight": uniform(random, *shape)}


def adam(random: torch.Generator) -> Tensors:
    kept = {name: normal(random, 120, 5) for name in ("value", "gradient", "first")}
    return kept | {"second": uniform(random, 120, 5), "skip": (uniform(random, 120) < 0.2).to(torch.uint8)}


def picture_bytes(random: torch.Generator) -> Tensors:
    """Returns colours near the middles of bytes, so that no rounding decides between two."""
    alpha = torch.randint(64, 256, (1, 9, 13, 1), generator=random) / 255
    return {"rgb": torch.randint(-20, 280, (1, 9, 13, 3), generator=random) / 255 * alpha, "alpha": alpha}


def composite(random: torch.Generator) -> Tensors:
    def some(*shape: int) -> Tensor:
        return torch.randint(256, shape, generator=random, dtype=torch.uint8)

    rows = torch.tensor([2, 0, 2, 1])
    return {"images": some(3, 14, 11, 3), "masks": some(3, 14, 11), "rows": rows, "background": uniform(random, 4, 3)}


MAKERS = {
    "splat_rgb": lambda random: splats(random, 700, 1, (44, 36), (0.3,)),
    "splat_views": lambda random: splats(random, 110, 16, (32, 24), (-0.5, 0.8)),
    "splat_poses": lambda random: splats(random, 80, 4, (24, 24), (0.1,), poses=2),
    "pose": pose,
    "loss": loss,
    "adam": adam,
    "bytes": picture_bytes,
    "closest": closest,
    "composite": composite,
    "encode": lambda random: {
        "points": uniform(random, 200, 3),
        "table": normal(random, GRID.rows, GRID.features),
    },
    "march": march,
    "volume": volume,
    "mlp": lambda random: {
        "x": normal(random, 150, 20),
        "w0": normal(random, 32, 20) * 0.2,
        "b0": normal(random, 32),
        "w1": normal(random, 4, 32) * 0.2,
        "b1": normal(random, 4),
    },
}


def made(name: str) -> tuple[Tensors, Tensors, dict[str, float]]:
    """Returns inputs with cotangents, answers, and the emulator's errors of a case."""
    random = torch.Generator().manual_seed(sorted(CASES).index(name) + 1)
    inputs = MAKERS[name](random)
    exact = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
    # Cotangents have the outputs' shapes: a first run, with zeros that grow to any shape, says which.
    shapes = CASES[name].run(_Zeros(exact), "reference")
    for key, value in shapes.items():
        if not key.startswith("grad_"):
            inputs[f"to_{key}"] = normal(random, *value.shape)
    exact = {k: v.double() if v.is_floating_point() else v for k, v in inputs.items()}
    answers = {k: v.detach().float() for k, v in CASES[name].run(exact, "reference").items()}
    got = CASES[name].run({k: v.clone() for k, v in inputs.items()}, "emulated")
    return inputs, answers, {key: selftest.error(got[key], want) for key, want in answers.items()}


class _Zeros(dict):
    """Inputs in which every cotangent is a zero."""

    def __missing__(self, key: str) -> Tensor:
        return torch.zeros((), dtype=torch.float64)


def main() -> int:
    stored, emulator = {}, {}
    for name in CASES:
        inputs, answers, emulator[name] = made(name)
        used = {k: v for k, v in inputs.items() if not k.startswith("to_") or k.removeprefix("to_") in answers}
        stored |= {f"{name}/in/{k}": v.contiguous() for k, v in used.items()}
        stored |= {f"{name}/out/{k}": v.contiguous() for k, v in answers.items()}
        worst = max(emulator[name], key=lambda key: emulator[name][key])
        print(f"{name:12} {len(answers)} outputs, largest error of the emulator {emulator[name][worst]:.1e} ({worst})")
    GOLDEN.parent.mkdir(exist_ok=True)
    save_file(stored, str(GOLDEN), metadata={"emulator": json.dumps(emulator)})
    print(f"{GOLDEN}: {GOLDEN.stat().st_size >> 10} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
