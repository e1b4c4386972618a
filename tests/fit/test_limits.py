"""How far splats may go."""

from dataclasses import replace

import torch

from avatar3d.core import Binding, Gaussians
from avatar3d.fit.limits import limits
from avatar3d.fit.start import Start
from avatar3d.fit.unseen import HAIR, SKIN


def begun() -> Start:
    """Skin in plain view, skin at a slant, the same where a frame shows the background, and hair at a slant."""
    gaussians = Gaussians(
        torch.zeros(4, 3),
        torch.tensor([[1.0, 0, 0, 0]] * 4),
        torch.zeros(4, 3),
        torch.full((4,), 2.0),
        torch.zeros(4, 1, 3),
    )
    binding = Binding(torch.zeros(4, dtype=torch.long), torch.full((4, 3), 1 / 3))
    part = torch.tensor([SKIN, SKIN, SKIN, HAIR])
    least = torch.tensor([1.7, 1.7, -torch.inf, 1.7])
    lips = torch.tensor([False, False, False, False])
    return Start(gaussians, binding, part, least, facing=torch.tensor([0.9, 0.2, 0.2, 0.2]), lips=lips)


def strayed(photo: bool, first: Start | None = None) -> dict[str, torch.Tensor]:
    first = first or begun()
    values = {name: x.clone() for name, x in vars(first.gaussians).items()}
    values["log_scales"] -= 9.0
    values["logits"] -= 9.0
    values["means"] += 9.0
    values["sh"] += 9.0
    limits(first, photo).hold(values)
    return values


def test_a_clip_keeps_skin_closed_that_it_shows_at_a_slant():
    found = strayed(photo=False)
    shrunk, faded = found["log_scales"].amin(-1), found["logits"]
    assert shrunk[1] > shrunk[0] and torch.equal(shrunk[[0, 2, 3]], torch.full((3,), shrunk[0].item()))
    assert faded.tolist()[1] == torch.tensor(1.7).item() and (faded[[0, 2, 3]] == -7).all()
    assert (found["means"][1] < 1).all() and (found["means"][[0, 2, 3]] == 9).all()
    assert (found["sh"] == 9).all()


def test_a_photo_holds_every_splat():
    found = strayed(photo=True)
    assert (found["means"] < 1).all() and (found["sh"] < 1).all()
    assert (found["log_scales"][:3, [0, 2]] > 0).all() and (found["log_scales"] > -0.5).all()
    assert found["logits"].tolist()[2] == -7


def test_lips_in_a_photo_stay_opaque_and_red_but_may_shrink():
    first = replace(begun(), lips=torch.tensor([False, True, True, False]))
    found, others = strayed(photo=True, first=first), strayed(photo=True)
    lips = first.lips
    assert (found["sh"][lips] < 0.2).all() and torch.equal(found["sh"][~lips], others["sh"][~lips])
    assert (found["logits"][lips] > 1.6).all()
    assert (found["log_scales"][lips].amin(-1) < 0).all() and (found["log_scales"][0, [0, 2]] > 0).all()
    clip = strayed(photo=False, first=first)
    assert all(torch.equal(clip[name], x) for name, x in strayed(photo=False).items())
