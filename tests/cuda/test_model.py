"""The instruction-count model: its inputs are counts that add up, and its bound follows from them."""

import json

import pytest
import torch
from emulated import Emulated

from avatar3d import bench
from avatar3d.ops import gpu, reference
from tools import cuda_model
from tools.cuda_model import CARDS, Turns


def test_a_bound_is_instructions_over_issue_slots():
    loop = {"instructions": 40, "least": 10, "nest": [40, 30, 20]}
    assert cuda_model.issued(Turns(100, 50, (7, 3)), loop, [30, 20]) == 100 * 40 + 50 * 10 + 7 * 30 + 3 * 20
    card = CARDS[0]
    assert cuda_model.least_microseconds(card, card.multiprocessors * 4 * 1695) == pytest.approx(1.0)


def test_turns_of_gsplats_tiles_by_hand():
    """Two opaque splats on one pixel in the middle of a tile, and three that the closed pixel never sees."""
    centre, covariance = torch.full((5, 2), 8.5).double(), (0.05 * torch.eye(2)).expand(5, 2, 2).double()
    opacity = torch.full((5,), 0.995).double()
    forward, full, batches, backward, full_back, every = cuda_model._tile(centre, covariance, opacity, 0, 0).tolist()
    assert forward == 8 * 5  # its warp has open pixels beside it
    assert (full, full_back, backward) == (1, 1, 1)  # the second splat would close the pixel, and is left out
    assert batches == every == 8
    assert cuda_model._tile(centre[:0], covariance[:0], opacity[:0], 0, 0).sum() == 0


def test_counts_add_up(library: Emulated, monkeypatch):
    monkeypatch.setenv("AVATAR3D_EMULATED", library._library._name)
    gpu.library.cache_clear()
    scene, camera = bench.head_scene(600), bench.head_camera(48)
    ours, theirs = cuda_model.our_turns(scene, camera), cuda_model.gsplat_turns(scene, camera)
    gpu.library.cache_clear()
    forward, backward = ours["a3d_splat_blend"], ours["a3d_splat_blend_backward"]
    assert 0 < backward.full <= backward.full + backward.other == forward.full + forward.other
    # Both blend the same pixels: a warp of either has at most 32 of them in a turn.
    centre, covariance, z, _ = reference.project(scene, camera)
    y, x = torch.meshgrid(torch.arange(48) + 0.5, torch.arange(48) + 0.5, indexing="ij")
    order = z.argsort()
    alpha = reference._alpha(
        centre[order], covariance[order], scene.opacities[order], torch.stack([x, y], dim=-1).view(-1, 2)
    )
    blended = int(((alpha > 0) & ((1 - alpha).cumprod(0) > reference.TRANSMITTANCE_MIN)).sum())
    for turns in (backward, theirs["forward"], theirs["backward"]):
        assert blended / 32 <= turns.full <= blended
    assert theirs["forward"].full + theirs["forward"].other > forward.full + forward.other


def test_the_recorded_figures_are_there():
    record = json.loads(cuda_model.GSPLAT.read_text())
    for way in ("forward", "backward"):
        for card in CARDS:
            row = record[way][card.arch]
            assert row["spills"] == 0 and row["loop"]["instructions"] > 30 and len(row["loop"]["nest"]) > 1
