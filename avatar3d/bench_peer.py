"""Mitsuba's Gaussian ellipsoids on the benchmark's scene: an independent CPU renderer from the package index."""

import json
import os
import sys
from collections.abc import Callable

import torch

from avatar3d.bench import CAMERA_DISTANCE, CAMERA_SPAN, head_scene, smooth_picture, timed_row
from avatar3d.core import AvatarError, Gaussians


def mitsuba_calls(gaussians: Gaussians, target: torch.Tensor) -> tuple[Callable[[], object], Callable[[], object]]:
    """Returns two functions: one renders, one renders and computes the gradients of the L1 loss.

    Mitsuba traces rays (one sample a pixel, splats in the order in which rays enter them, no pixel footprint), so the
    picture is close to ours, about 30 dB, and not the same. Gradients go to shapes, opacities and colours, as ours do.

    Args:
        gaussians: The benchmark's scene, SH degree 0.
        target: Square picture to compare with, h h 3.

    Raises:
        AvatarError: Mitsuba is not installed or finds no LLVM.
    """
    try:
        import mitsuba  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise AvatarError("mitsuba is not installed (`pip install mitsuba`)") from error
    try:
        mitsuba.set_variant("llvm_ad_rgb")
        import drjit  # pyright: ignore[reportMissingImports]

        drjit.eval(mitsuba.Float(1) + 1)
    except (ImportError, RuntimeError, AttributeError) as error:
        raise AvatarError("mitsuba finds no LLVM library (install libLLVM or set DRJIT_LIBLLVM_PATH)") from error

    size = target.shape[0]
    scene = mitsuba.load_dict(_scene(mitsuba, gaussians, size))
    parameters = mitsuba.traverse(scene)
    wanted = [f"splats.{name}" for name in ("data", "opacities", "sh_coeffs")]
    truth = mitsuba.TensorXf(target.numpy())

    def forward() -> None:
        drjit.eval(mitsuba.render(scene))
        drjit.sync_thread()

    def both() -> None:
        for name in wanted:
            drjit.enable_grad(parameters[name])
        parameters.update()
        loss = drjit.mean(drjit.abs(mitsuba.render(scene, parameters) - truth), axis=None)
        drjit.backward(loss)
        drjit.eval(*(drjit.grad(parameters[name]) for name in wanted))
        drjit.sync_thread()
        for name in wanted:
            drjit.disable_grad(parameters[name])

    return forward, both


def _scene(mitsuba, gaussians: Gaussians, size: int) -> dict:
    """Returns Mitsuba's description of the scene."""
    tensor = lambda x: mitsuba.TensorXf(x.detach().contiguous().numpy())  # noqa: E731
    return {
        "type": "scene",
        "integrator": {"type": "volprim_rf_basic", "max_depth": 128, "srgb_primitives": False},
        "sensor": {
            "type": "perspective",
            "fov": float(2 * torch.atan(torch.tensor(0.5 * CAMERA_SPAN / CAMERA_DISTANCE)).rad2deg()),
            "to_world": mitsuba.ScalarTransform4f().look_at([0, 0, CAMERA_DISTANCE], [0, 0, 0], [0, 1, 0]),
            "film": {"type": "hdrfilm", "width": size, "height": size, "rfilter": {"type": "box"}},
            "sampler": {"type": "independent", "sample_count": 1},
        },
        "splats": {
            "type": "ellipsoids",
            "centers": tensor(gaussians.means),
            "scales": tensor(gaussians.scales),
            "quaternions": tensor(torch.nn.functional.normalize(gaussians.quats, dim=-1)[:, [1, 2, 3, 0]]),
            "opacities": tensor(gaussians.opacities[:, None]),
            "sh_coeffs": tensor(gaussians.sh[:, 0]),
        },
    }


def main(splats: int, size: int) -> None:
    """Prints one row of the benchmark as JSON."""
    forward, both = mitsuba_calls(head_scene(splats), smooth_picture(size))
    threads = os.cpu_count() or 1  # Mitsuba takes every core
    print(json.dumps(timed_row("mitsuba ellipsoids", splats, size, threads, forward, both, 3)))


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]), int(sys.argv[2]))
    except AvatarError as error:
        sys.exit(str(error))
