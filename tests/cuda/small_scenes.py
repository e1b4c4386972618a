"""Runs small scenes through every splat kernel of an emulated library: `python small_scenes.py library.so`.

In a process of its own (with this folder and the repository on PYTHONPATH): builds differ, and so do processors.
"""

import sys
from pathlib import Path

import torch
from emulated import ORDERS, PLANTED, Emulated
from splats import backward, camera_at, cotangents, forward, random_splats

from avatar3d.core import Camera
from avatar3d.geometry import orbit


def main(library: Emulated) -> None:
    """Runs every path: degrees, large splats, batches of a tile, views, poses, absent cotangents, overflow."""
    background = torch.tensor([0.2, 0.5, 0.7])
    for order, bases in zip((*ORDERS, "forward"), (1, 4, 9, 16), strict=True):
        library.order(order)
        gaussians, camera = random_splats(700, bases, seed=bases, size=-4.4), camera_at()
        gaussians.log_scales[::50] += 1.5
        drawn = forward(library, gaussians, camera, background)
        grads = cotangents(1, camera)
        backward(library, drawn, grads)
        backward(library, drawn, (grads[0], None, None), want=("means", "sh"))
        backward(library, drawn, (None, grads[1], None), want=("quats", "log_scales", "logits"))
        forward(library, gaussians, camera, background, pairs=int(drawn.counts[0]) - 1)
    wide = camera_at(width=100, height=90)
    drawn = forward(library, random_splats(40, size=-2.5), wide, background)  # splats of more tiles than a thread lists
    backward(library, drawn, cotangents(1, wide))
    values, sums = torch.ones(300_000, dtype=torch.int32), torch.zeros(293, dtype=torch.int32)
    library.call("a3d_planted_scan", values, sums, len(values))
    cameras: Camera = orbit(torch.tensor([-0.6, 0.1, 0.9]), size=(35, 30))
    drawn = forward(library, random_splats(200, 4), cameras, background)
    backward(library, drawn, cotangents(3, cameras))
    backward(library, forward(library, random_splats(0), camera_at(), background), cotangents(1, camera_at()))


if __name__ == "__main__":
    main(Emulated(Path(sys.argv[1]), PLANTED / "planted.h"))
    print("done")
