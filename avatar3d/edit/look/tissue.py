"""Which splats are skin, hair or clothes: by place on the head, by distance from it, and by colour."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d.edit.look.surface import Surface

SKIN, HAIR, CLOTHES = range(3)
_CLUSTERS = 6
_NEIGHBOURS = 12
_STEADY = 0.035  # OKLab: spread of a colour cluster at least, so that a hundred equal splats are no delta
_UNLIKE = 2.0  # times likelier than skin must be what is taken for hair or clothes
_ALOFT = 0.008  # metres off the mesh from which a splat of the head is more likely hair than skin


@dataclass(frozen=True)
class _Colours:
    """A few clusters of colours."""

    middles: Float[Tensor, "c 3"]
    spreads: Float[Tensor, " c"]
    shares: Float[Tensor, " c"]

    def likelihood(self, lab: Float[Tensor, "n 3"]) -> Float[Tensor, " n"]:
        away = torch.cdist(lab, self.middles) / self.spreads
        return (self.shares * (-0.5 * away.square()).exp() / self.spreads**3).sum(-1)


def tissue(under: Surface, lab: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Returns how far each splat is skin, hair and clothes; the three sum to one.

    Args:
        under: The avatar at rest.
        lab: Colours of the splats, OKLab.
    """
    seeds = _seeds(under)
    skin = _clusters(lab[seeds[SKIN]]) if int(seeds[SKIN].sum()) > 50 else None
    if skin is None:
        return _priors(under, 1.0, 1.0)
    models: list[_Colours | None] = [skin]
    belief = [1.0]
    for which in (HAIR, CLOTHES):
        found = lab[seeds[which]]
        model = _clusters(found) if len(found) > 50 else None
        unlike = model.likelihood(found) > _UNLIKE * skin.likelihood(found) if model else torch.zeros(0).bool()
        if model and which == CLOTHES:
            unlike &= ~_skin_hue(found, lab[seeds[SKIN]])
        share = float(unlike.float().mean()) if len(unlike) else 0.0
        belief.append(min(1.0, share * 1.6))
        models.append(_clusters(found[unlike]) if model and int(unlike.sum()) > 50 else None)
    prior = _priors(under, belief[HAIR], belief[CLOTHES])
    none = 0.02 / _STEADY**3
    likelihood = torch.stack([none + (torch.zeros(len(lab)) if m is None else m.likelihood(lab)) for m in models], -1)
    posterior = torch.nn.functional.normalize(prior * likelihood, p=1, dim=-1)
    return _smoothed(posterior, under)


def _skin_hue(lab: Float[Tensor, "m 3"], skin: Float[Tensor, "s 3"]) -> Bool[Tensor, " m"]:
    """Returns which colours have the skin's hue and saturation, in light or shade: bare shoulders are no clothes."""
    hue, known = (x[:, 1:] / x[:, :1].clamp_min(0.05) for x in (lab, skin))
    away = (hue - known.median(0).values) / (2.5 * known.std(0)).clamp_min(0.03)
    return away.norm(dim=-1) < 1


def _seeds(under: Surface) -> list[Bool[Tensor, " n"]]:
    """Returns splats that are surely skin, and likely hair and clothes."""
    face = torch.stack([under.region(n) for n in ("cheeks", "nose", "chin")]).amax(0) > 0.5
    skin = face & (under.height < 0.006)
    hair = under.region("scalp") > 0.5
    chin = _chin(under)
    body = torch.stack([under.region(n) for n in ("torso", "shoulders")]).amax(0) > 0.5
    return [skin, hair, body & (under.splats.means[:, 1] < chin - 0.05)]


def _chin(under: Surface) -> float:
    rows = under.head.regions.get("chin")
    if rows is None or not bool((rows > 0.5).any()):
        return -0.1
    return float(under.vertices[rows > 0.5][:, 1].min())


def _priors(under: Surface, hair: float, clothes: float) -> Float[Tensor, "n 3"]:
    """Returns the probabilities by place alone.

    Args:
        under: The avatar at rest.
        hair: How far the scalp does look like hair, in [0, 1].
        clothes: How far the chest looks like clothes.
    """
    at, height = under.splats.means, under.height
    region = {n: under.region(n) for n in ("scalp", "ears", "neck", "torso", "shoulders", "nose", "cheeks", "lips")}
    ears = under.head.regions.get("ears")
    behind = torch.zeros(len(at), dtype=torch.bool)
    if ears is not None and bool((ears > 0.5).any()):
        lobes = under.vertices[ears > 0.5]
        behind = (under.point[:, 2] < lobes[:, 2].min() + 0.005) & (under.point[:, 1] > lobes[:, 1].min())
    chin = _chin(under)
    low = at[:, 1] < chin + 0.01
    body = torch.stack([region[n] for n in ("torso", "shoulders")]).amax(0)
    core = torch.stack([region[n] for n in ("nose", "cheeks", "lips")]).amax(0)
    high = (at[:, 1] > 0.02).float()
    aloft = ((height - _ALOFT / 2) / _ALOFT).clamp(0, 1)
    p_hair = 0.12 + 0.25 * high
    p_hair = torch.maximum(p_hair, 0.97 * torch.maximum(region["scalp"], behind.float() * (1 - body)))
    p_hair = torch.maximum(p_hair, 0.8 * aloft * (1 - body))
    p_hair = p_hair * (1 - 0.95 * core * (1 - aloft)) * torch.where(low, 0.12, 1.0)
    p_hair = torch.where(body > 0.5, 0.05 + 0.1 * aloft, p_hair)
    p_clothes = torch.where(low, 0.25 + 0.55 * aloft, 0.01 + 0.55 * aloft * (at[:, 1] < chin + 0.06))
    p_clothes = torch.maximum(p_clothes, 0.85 * body)
    p_hair, p_clothes = p_hair * (0.1 + 0.9 * hair), p_clothes * (0.1 + 0.9 * clothes)
    bare = _around_eyes(under)  # lashes and shadows are as dark as hair
    p_hair, p_clothes = p_hair * (1 - bare), p_clothes * (1 - bare)
    p_skin = torch.maximum(1 - p_hair - p_clothes, torch.full_like(p_hair, 0.02))
    return torch.nn.functional.normalize(torch.stack([p_skin, p_hair, p_clothes], -1), p=1, dim=-1)


def _around_eyes(under: Surface) -> Float[Tensor, " n"]:
    """Returns how far splats lie about an eye, on the surface, where only brows and lashes grow."""
    out = torch.zeros(len(under.point))
    for side in ("left", "right"):
        weight = under.head.regions.get(f"iris_{side}")
        if weight is None or float(weight.sum()) == 0:
            continue
        eye = (under.vertices * weight[:, None]).sum(0) / weight.sum()
        away = (under.point - eye) / torch.tensor([0.024, 0.015, 0.04])
        out = torch.maximum(out, ((1.25 - away.norm(dim=-1)) / 0.25).clamp(0, 1))
    return out * ((0.012 - under.height) / 0.004).clamp(0, 1)


def _clusters(lab: Float[Tensor, "m 3"]) -> _Colours:
    """Returns clusters by Lloyd's iterations from spread-out seeds: the same for the same colours."""
    points = lab[:: max(1, len(lab) // 4000)]
    chosen = [points.median(0).values]
    for _ in range(_CLUSTERS - 1):
        away = torch.cdist(points, torch.stack(chosen)).amin(-1)
        # Not the farthest, which is an outlier, but far.
        chosen.append(points[away.argsort(stable=True)[int(0.93 * (len(points) - 1))]])
    middles = torch.stack(chosen)
    label = torch.zeros(len(points), dtype=torch.long)
    for _ in range(12):
        label = torch.cdist(points, middles).argmin(-1)
        for c in range(_CLUSTERS):
            if bool((label == c).any()):
                middles[c] = points[label == c].mean(0)
    spreads, shares = torch.full((_CLUSTERS,), _STEADY), torch.zeros(_CLUSTERS)
    for c in range(_CLUSTERS):
        mine = points[label == c]
        if len(mine):
            shares[c] = len(mine) / len(points)
            spreads[c] = max(_STEADY, float((mine - middles[c]).square().mean().sqrt()) * 1.3)
    return _Colours(middles, spreads, shares)


def _smoothed(posterior: Float[Tensor, "n 3"], under: Surface) -> Float[Tensor, "n 3"]:
    """Returns the mean over each splat and its neighbours, twice: single splats of another kind are noise."""
    points = under.splats.means.double().numpy()
    k = min(_NEIGHBOURS, len(points))
    _, index = KDTree(points).query(points, k=k, workers=1)
    near = torch.from_numpy(np.asarray(index).reshape(len(points), k))
    for _ in range(2):
        posterior = 0.4 * posterior + 0.6 * posterior[near].mean(1)
    # The mean of certain neighbours is certain again, the rim stays soft.
    sharp = (((posterior - 0.5) * 1.6) + 0.5).clamp(0, 1)
    return torch.nn.functional.normalize(sharp.clamp_min(1e-4), p=1, dim=-1)
