"""Changes of topology: who is cloned, split and removed, and what follows the index."""

import torch

from avatar3d.core import Camera
from avatar3d.fit.density import Evidence, Rule, densify
from avatar3d.geometry import pinhole
from avatar3d.ops.optim import Adam

RULE = Rule(threshold=1.0, coarse=0.1, faint=0.01, vast=1.0)
#             asks, small; asks, large; calm; faint; vast; calm
ASKED = torch.tensor([2.0, 3.0, 0.5, 5.0, 5.0, 0.0])
SIZES = torch.tensor([0.05, 0.20, 0.05, 0.05, 2.0, 0.20])
OPACITIES = torch.tensor([0.5, 0.5, 0.5, 0.001, 0.5, 0.5])
FACES = torch.tensor([0, 0, 1, 2, 3, 3])


def test_small_ones_are_cloned_large_ones_split_and_idle_ones_removed():
    change = densify(ASKED, SIZES, OPACITIES, FACES, RULE, (100, 0))
    assert change.src.tolist() == [0, 2, 5, 0, 1, 1]
    assert change.split.tolist() == [False] * 4 + [True] * 2
    # All that is not a half stays exactly where it was.
    assert torch.equal(change.jitter[:4], torch.zeros(4, 3)) and (change.jitter[4:] != 0).all()


def test_those_that_ask_most_come_first_where_room_is_short():
    change = densify(ASKED, SIZES, OPACITIES, FACES, RULE, (5, 0))
    assert change.src.tolist() == [0, 2, 5, 1, 1]
    assert densify(ASKED, SIZES, OPACITIES, FACES, RULE, (1, 0)).src.tolist() == [0, 1, 2, 5]


def test_the_last_of_a_triangle_may_stay():
    rule = Rule(threshold=1.0, coarse=0.1, faint=0.01, vast=1.0, keep_last=True)
    change = densify(ASKED, SIZES, OPACITIES, FACES, rule, (4, 0))
    assert set(FACES[change.src].tolist()) == {0, 1, 2, 3}
    assert 3 in change.src.tolist() and 4 not in change.src.tolist()  # triangle 3 has another one
    both = densify(
        torch.zeros(2), torch.full((2,), 0.05), torch.zeros(2), torch.zeros(2, dtype=torch.long), rule, (9, 0)
    )
    assert both.src.tolist() == [0]


def test_same_seed_same_change_and_another_seed_another():
    first, again, other = (densify(ASKED, SIZES, OPACITIES, FACES, RULE, (100, seed)) for seed in (1, 1, 2))
    assert torch.equal(first.jitter, again.jitter) and torch.equal(first.src, again.src)
    assert not torch.equal(first.jitter, other.jitter)


def test_the_optimiser_goes_on_as_if_nothing_had_happened():
    """A step after gathering moves each row as a step on the old rows does."""
    generator = torch.Generator().manual_seed(0)
    values = {"a": torch.randn(6, 3, generator=generator), "shape": torch.randn(2, 6, generator=generator)}
    values = {name: x.requires_grad_() for name, x in values.items()}
    adam = Adam(values, {"a": 0.1, "shape": 0.2})
    gradients = {name: torch.randn(x.shape, generator=generator) for name, x in values.items()}

    def step(optimiser: Adam, of: dict) -> None:
        for name, x in optimiser.values.items():
            x.grad = of[name].clone()
        optimiser.step()

    step(adam, gradients)
    change = densify(ASKED, SIZES, OPACITIES, FACES, RULE, (100, 0))
    new = adam.gather(change.src, {"a": 0, "shape": 1})
    step(adam, gradients)
    step(new, {"a": gradients["a"][change.src], "shape": gradients["shape"][:, change.src]})
    torch.testing.assert_close(new.values["a"].detach(), values["a"].detach()[change.src], rtol=0, atol=0)
    torch.testing.assert_close(new.values["shape"].detach(), values["shape"].detach()[:, change.src], rtol=0, atol=0)


def test_evidence_is_the_gradient_in_the_picture():
    """A loss of projected places has a known gradient there: the chain through space must give it back."""
    means = torch.tensor([[[0.1, -0.05, 0.0], [0.0, 0.02, 0.1]], [[0.05, 0.0, 0.0], [0.0, 0.0, -0.1]]])
    means.requires_grad_()
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))[0]
    w2c = torch.eye(4)
    w2c[:3, :3] = turn * torch.linalg.det(turn)
    w2c[2, 3] = 2.0
    camera = Camera(w2c.expand(2, 4, 4), pinhole(200, 100, 150.0).expand(2, 3, 3), 200, 100)
    view = means @ camera.w2c[:, :3, :3].mT + camera.w2c[:, None, :3, 3]
    screen = (150.0 * view[..., :2] / view[..., 2:]) / torch.tensor([100.0, 50.0])
    pull = torch.tensor([[[3.0, 4.0], [0.0, 0.0]], [[6.0, 8.0], [0.0, 5.0]]])
    ((pull * screen).sum((1, 2)).mean()).backward()
    evidence = Evidence(2)
    evidence.add(means.detach(), means.grad, camera)
    # The mean over views in which it shows; what moving does to depth is left out by a gradient across the view.
    torch.testing.assert_close(evidence.mean, torch.tensor([7.5, 5.0]), rtol=1e-4, atol=1e-4)
