"""Corrections move the head and the torso apart."""

from dataclasses import replace

import torch

from avatar3d import heads
from avatar3d.core import Pose
from avatar3d.fit import corrections
from avatar3d.fit.corrections import Corrector, over_time
from avatar3d.geometry import rigid, rotvec_to_matrix

HEAD = heads.load("anny")
CORRECTOR = Corrector(HEAD, 0.5 * torch.ones(len(HEAD.identities)))


def tracked() -> Pose:
    generator = torch.Generator().manual_seed(3)
    joints = 0.2 * torch.randn(2, len(HEAD.joints), 3, generator=generator)
    root = rigid(rotvec_to_matrix(0.3 * torch.randn(2, 3, generator=generator)), torch.randn(2, 3, generator=generator))
    return Pose(0.5 * torch.rand(2, len(HEAD.expressions), generator=generator), joints, root)


def moved(change: torch.Tensor) -> torch.Tensor:
    """Returns how far each vertex goes, metres."""
    before, after = tracked(), CORRECTOR.apply(tracked(), change)
    identity = CORRECTOR.identity.expand(2, -1)
    return (HEAD.vertices(identity, after) - HEAD.vertices(identity, before)).norm(dim=-1)


def test_no_correction_changes_nothing():
    assert moved(torch.zeros(2, CORRECTOR.width)).max() < 1e-6


def test_joints_move_the_torso_and_leave_the_head():
    change = torch.zeros(2, CORRECTOR.width)
    change[:, 6:12] = torch.randn(2, 6, generator=torch.Generator().manual_seed(5))
    far = moved(change)
    assert far[:, HEAD.weights[:, 2] == 1].max() < 1e-5
    assert far[:, HEAD.weights[:, 0] == 1].min() > 1e-3


def test_a_shift_moves_all_by_as_much():
    change = torch.zeros(2, CORRECTOR.width)
    change[:, 3] = 2.0
    assert torch.allclose(moved(change), torch.full((2, len(HEAD.template)), 0.008), atol=1e-5)


def test_a_soft_node_moves_clothes_or_hair_and_no_face():
    for node, part in ((0, "torso"), (HEAD.soft.shape[1] - 1, "scalp")):
        change = torch.zeros(2, CORRECTOR.width)
        change[:, 6 + 3 * len(HEAD.joints) + 3 * node] = 1.0
        far = moved(change)
        assert far[:, HEAD.regions[part] > 0.5].max() > 0.005
        assert far[:, HEAD.regions["lips"] > 0].max() < 1e-6


def test_corrections_add_to_what_soft_nodes_did():
    soft = 0.01 * torch.ones(2, HEAD.soft.shape[1], 3)
    kept = CORRECTOR.apply(replace(tracked(), soft=soft), torch.zeros(2, CORRECTOR.width))
    assert kept.soft is not None and torch.equal(kept.soft, soft)


def test_the_pull_grows_with_each_part():
    nothing = CORRECTOR.pull(torch.zeros(2, CORRECTOR.width))
    for column in (0, 3, 6, 6 + 3 * len(HEAD.joints), CORRECTOR.width - 1):
        change = torch.zeros(2, CORRECTOR.width)
        change[:, column] = 1.0
        assert CORRECTOR.pull(change) > nothing == 0


def test_between_corrected_frames_corrections_are_interpolated():
    change = torch.tensor([[1.0], [3.0], [0.0]])
    found = over_time(change, torch.tensor([1, 3, 6]), 8)[:, 0]
    assert torch.allclose(found, torch.tensor([1.0, 1.0, 2.0, 3.0, 2.0, 1.0, 0.0, 0.0]))


def test_a_drift_takes_neighbours_along_and_only_those_seen_move():
    values = corrections.begin(20, 2)
    values["drift"][1] = torch.tensor([1.0, -2.0])
    values["view"][9, 0] = 0.5
    found = corrections.at(values, torch.arange(20))
    period = int(found[:, 1].argmin())
    assert found[period].tolist() == [1.0, -2.0] and found[0].tolist() == found[2 * period].tolist() == [0.0, 0.0]
    assert torch.allclose(found[period // 2], torch.tensor([0.5, -1.0]))
    assert found[9, 0] == 0.5 + values["drift"][1, 0] * (1 - (9 - period) / period)
    still = corrections.still(values, torch.tensor([period + 1]))
    assert torch.nonzero(~still["view"])[:, 0].tolist() == [period + 1]
    assert torch.nonzero(~still["drift"])[:, 0].tolist() == [1, 2]
    assert len(corrections.at(values, torch.tensor([19]))) == 1  # the last moment has a knot after it
