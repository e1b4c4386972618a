"""How fast the rasterizer could be at best: instruction counts of the emulator and the compiler, on published GPUs.

`python -m tools.cuda_model` prints, for our kernels and for those of gsplat 1.5.3, the time that a GPU needs to issue
the instructions of the loop over splats and of the loops around it, if nothing else took time. That is a lower bound,
not a forecast, and nothing here is measured: caches, latencies, sorting and uneven tiles all come on top.

Inputs: turns of the loops, counted by running our literal kernels in the emulator (`make test-cuda` builds it), and for
gsplat by going through its tile lists on the CPU; instructions of a turn from perf/cuda_static.json and
perf/gsplat_static.json (`--gsplat` renews it from the installed package's sources, by nvcc); clocks and multiprocessors
from NVIDIA's data sheets. An SM issues four warp instructions a clock (CUDA C++ Programming Guide, capability 8 and 9).
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor

from avatar3d.bench import head_camera, head_scene
from avatar3d.core import Camera, Gaussians
from avatar3d.ops import gpu, image, reference, splat
from tools.cuda_static import RECORD, compiled, tool

GSPLAT = RECORD.with_name("gsplat_static.json")
TILE, BATCH, WARP_ROWS = 16, 256, 2
"""gsplat's tiles of 16 x 16 pixels are blocks of 256 threads; a warp is two rows of a tile."""


@dataclass(frozen=True)
class Card:
    """A GPU, from its data sheet."""

    name: str
    arch: str
    multiprocessors: int
    gigahertz: float
    """Boost clock."""


CARDS = (
    Card("RTX 3090", "sm_86", 82, 1.695),
    Card("RTX 4090", "sm_89", 128, 2.52),
    Card("H100 SXM", "sm_90", 132, 1.98),
)
"""Sources: GA102 whitepaper, Ada whitepaper, H100 data sheet (boost clocks)."""


@dataclass(frozen=True)
class Turns:
    """What warps do in one pass over a scene."""

    full: int
    """Turns of the loop over splats in which a lane's alpha counts."""
    other: int
    """Turns in which none does."""
    around: tuple[int, ...]
    """Turns of the loops around it, inner ones first."""


def issued(turns: Turns, loop: dict, around: list[int]) -> int:
    """Returns warp instructions: a turn that counts runs the loop's body, another its part up to the first branch.

    `around` are the instructions of the loops around it: those of the forward kernel for both, since compilers unroll
    the backward's so that they cannot be told apart, and it has the same tests and loads and more.
    """
    outer = sum(count * size for count, size in zip(turns.around, around, strict=False))
    return turns.full * loop["instructions"] + turns.other * loop["least"] + outer


def least_microseconds(card: Card, instructions: int) -> float:
    """Returns the time to issue so many warp instructions on all schedulers of a card."""
    return instructions / (card.multiprocessors * 4 * card.gigahertz * 1e3)


def our_turns(gaussians: Gaussians, camera: Camera) -> dict[str, Turns]:
    """Returns what the emulator counts in a forward and a backward pass."""
    barriers = {"a3d_splat_blend": 2, "a3d_splat_blend_backward": 3}  # in a batch
    gpu.library("emulated").symbol("a3d_emulator_reset")()
    leaves = gaussians.map(lambda x: x.clone().requires_grad_())
    rgb = splat.rasterize(leaves, camera, backend="emulated").rgb
    image.l1_ssim(rgb[None], torch.zeros_like(rgb)[None], ssim_share=0.0, backend="reference").backward()
    counted = gpu.counters(tuple(barriers))
    counting = counted["a3d_splat_blend_backward"][17]  # counted where a warp agrees, and the same splats forward
    found = {}
    for name, numbers in counted.items():
        turns, _, tests = numbers[16:19]  # by warp
        warps = numbers[2] // numbers[1]  # of a block; barriers are counted by block
        found[name] = Turns(counting, turns - counting, (tests, warps * (numbers[4] // barriers[name])))
    return found


def gsplat_turns(gaussians: Gaussians, camera: Camera) -> dict[str, Turns]:
    """Returns what gsplat 1.5.3's kernels would do: squares of its radius in tiles, every warp through its tile's list.

    Forward, a lane goes on until its pixel is closed; backward, a warp begins at the last splat that any lane blended.
    """
    with torch.no_grad():
        centre, covariance, z, _ = reference.project(gaussians, camera)
        extent = torch.sqrt(2 * torch.log(255 * gaussians.opacities).clamp_min(0)).clamp_max(3.33)
        radius = (extent[:, None] * torch.diagonal(covariance, dim1=-2, dim2=-1).sqrt()).ceil()
        order = z.argsort()
        order = order[(gaussians.opacities[order] >= reference.ALPHA_MIN) & (z[order] > reference.NEAR)]
        low, high = ((centre + side * radius)[order] / TILE for side in (-1, 1))
        counts = torch.zeros(6, dtype=torch.int64)
        for ty in range(-(-camera.height // TILE)):
            for tx in range(-(-camera.width // TILE)):
                tile = low.new_tensor([tx, ty])
                listed = order[((low.floor() <= tile) & (high.ceil() > tile)).all(dim=-1)]
                counts += _tile(centre[listed], covariance[listed], gaussians.opacities[listed], tx * TILE, ty * TILE)
    forward, forward_full, forward_batches, backward, backward_full, backward_batches = counts.tolist()
    return {
        "forward": Turns(forward_full, forward - forward_full, (forward_batches,)),
        "backward": Turns(backward_full, backward - backward_full, (backward_batches,)),
    }


def _tile(centre: Tensor, covariance: Tensor, opacity: Tensor, left: int, top: int) -> Tensor:
    """Returns forward turns, those that count, batches by warp; and the same backward."""
    n = len(centre)
    if not n:
        return torch.zeros(6, dtype=torch.int64)
    y, x = torch.meshgrid(torch.arange(TILE) + top + 0.5, torch.arange(TILE) + left + 0.5, indexing="ij")
    alpha = reference._alpha(centre, covariance, opacity, torch.stack([x, y], dim=-1).view(-1, 2))  # n pixels
    open_ = (1 - alpha).cumprod(0) > reference.TRANSMITTANCE_MIN
    rank = torch.arange(n)[:, None]
    closing = torch.where(open_, n, rank).amin(0)  # the splat that closes a pixel is looked at, too
    looked = (closing + 1).clamp_max(n)
    blended = (alpha > 0) & open_
    last = torch.where(blended, rank + 1, 0).amax(0)
    warps = lambda value: value.view(-1, 32).amax(1)  # noqa: E731  rows of two: 32 neighbours in memory
    forward, backward = warps(looked), warps(last)
    full = blended.view(n, -1, 32).any(-1).sum()
    batches = -(-forward.max() // BATCH) * len(forward)
    every = torch.tensor(-(-n // BATCH) * len(forward))  # backward loads all batches, also those behind the last splat
    return torch.stack([forward.sum(), full, batches, backward.sum(), full, every])


def gsplat_figures() -> dict:
    """Returns what nvcc makes of gsplat's rasterizers for RGB, from the installed package's sources with its flags.

    Without the branch that adds up absolute gradients, which is off by default.
    """
    spec = find_spec("gsplat")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("gsplat is not installed: pip install gsplat==1.5.3")
    folder = Path(spec.submodule_search_locations[0]) / "cuda"
    flags = (
        "-std=c++17",
        "-O3",
        "-use_fast_math",
        "-I",
        str(folder / "include"),
        "-I",
        str(folder / "csrc/third_party/glm"),
    )
    found: dict = {}
    with tempfile.TemporaryDirectory() as temporary:
        for way in ("Fwd", "Bwd"):
            text = (folder / "csrc" / f"RasterizeToPixels3DGS{way}.cu").read_text()
            kernel = text[text.index("namespace gsplat {") : text.index("template <uint32_t CDIM>\nvoid launch_")]
            name = f"rasterize_to_pixels_3dgs_{way.lower()}_kernel"
            # Torch's headers are needed by its host code alone, except for one name.
            source = Path(temporary) / f"{way}.cu"
            source.write_text(
                "#include <cooperative_groups.h>\n#include <cooperative_groups/reduce.h>\n#include <cstdint>\n"
                '#define gpuAtomicAdd atomicAdd\nnamespace at {}\n#include "Common.h"\n#include "Utils.cuh"\n'
                + kernel.replace("v_means2d_abs != nullptr", "false")
                + f"auto keep = &{name}<3, float>;\n}}\n"
                + "void* keep_alive() { return (void*)gsplat::keep; }\n"
            )
            for card in CARDS:
                for kernel_name, row in compiled(source, card.arch, tool("nvcc"), tool("nvdisasm"), flags).items():
                    if kernel_name.startswith(name):
                        found.setdefault({"Fwd": "forward", "Bwd": "backward"}[way], {})[card.arch] = row
    return found


def table(splats: int, size: int) -> list[str]:
    """Returns the model of one scene as lines of text."""
    scene, camera = head_scene(splats), head_camera(size)
    ours, theirs = our_turns(scene, camera), gsplat_turns(scene, camera)
    kernels, gsplat = json.loads(RECORD.read_text())["kernels"], json.loads(GSPLAT.read_text())
    lines = [f"{splats} splats, {size} x {size} pixels, RGB. Warp turns of the loop over splats (those that count):"]
    pairs = (("forward", "a3d_splat_blend"), ("backward", "a3d_splat_blend_backward"))
    for way, name in pairs:
        a, b = ours[name], theirs[way]
        lines.append(
            f"  {way:8} ours {a.full + a.other} ({a.full}), loops around {a.around}; "
            f"gsplat {b.full + b.other} ({b.full}), loops around {b.around}"
        )
    lines.append("Lower bounds in microseconds, by instructions issued and nothing else; not measured:")
    for card in CARDS:
        for way, name in pairs:
            mine, other = kernels[name][card.arch]["loop"], gsplat[way][card.arch]["loop"]
            outer = kernels["a3d_splat_blend"][card.arch]["loop"]["nest"][1:3]
            its = gsplat["forward"][card.arch]["loop"]["nest"][1:2]
            a, b = issued(ours[name], mine, outer), issued(theirs[way], other, its)
            lines.append(
                f"  {card.name:9} {way:8} ours {least_microseconds(card, a):8.1f} ({a} instructions; "
                f"{mine['least']} to {mine['instructions']} a turn, around {outer}); "
                f"gsplat 1.5.3 {least_microseconds(card, b):8.1f} ({b}; {other['least']} to {other['instructions']}, "
                f"around {its})"
            )
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--splats", type=int, default=10_000)
    parser.add_argument("--size", type=int, default=256, help="side of the picture in pixels")
    parser.add_argument("--gsplat", action="store_true", help="renew perf/gsplat_static.json")
    arguments = parser.parse_args()
    if arguments.gsplat:
        GSPLAT.write_text(json.dumps(gsplat_figures(), indent=1) + "\n")
    for card in CARDS:
        print(f"{card.name}: {card.arch}, {card.multiprocessors} multiprocessors, {card.gigahertz} GHz, 4 a clock")
    print("\n".join(table(arguments.splats, arguments.size)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
