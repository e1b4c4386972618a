"""Plausible colours for what no frame showed: the back of the head, the mouth behind closed lips, folded lids."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d.core import Binding, HeadModel

# Later parts win where regions overlap. Skin is what is left.
_PARTS = (("scalp",), ("shoulders", "torso"), ("eyes",), ("mouth_interior", "teeth", "tongue"))
SKIN, HAIR, CLOTHES, EYES, MOUTH = range(5)
_DEFAULTS = {HAIR: (0.2, 0.16, 0.13), CLOTHES: (0.35, 0.36, 0.4)}
_NEIGHBOURS, _SKIN_NEIGHBOURS = 12, 48  # skin is smoother than hair
_MIRRORED = 0.02  # metres from the nearest seen skin where the other side counts in full: light falls on each its way
# Shares of a splat that the best view of it shows. On a real fit they are 0.1 to 0.7 on the visible surface, where
# splats overlap, and below 0.01 behind it.
_HIDDEN, PLAIN = 0.003, 0.01
# Cosines between a surface and the best view of it, below which nothing and above which all of its colour is trusted.
# In a photo the outline of a face is a few splats deep and holds hair, ears and background besides.
_TRUST, _PHOTO_TRUST = (0.12, 0.3), (0.3, 0.55)
_PALE = 0.6  # share of the lips' usual redness (red less green) under which a lip shows teeth
_ODD = 0.12  # from the usual brightness of lids: lashes, the white and the iris are farther from it
_PLAIN_LID, _LID_FACING = 0.2, 0.4  # share of a lid's splat and cosine from which a photo shows the lid itself


def at_splats(
    values: Float[Tensor, " v"] | Float[Tensor, "v c"], faces: Int[Tensor, "f 3"], binding: Binding
) -> Tensor:
    """Returns a quantity given at vertices, interpolated where splats are tied."""
    corners = values[faces[binding.face]]
    weight = binding.bary if corners.ndim == 2 else binding.bary[..., None]
    return (corners * weight).sum(1)


def parts(head: HeadModel, binding: Binding, rest: Float[Tensor, "v 3"]) -> Int[Tensor, " n"]:
    """Returns what each splat belongs to: SKIN, HAIR, CLOTHES, EYES or MOUTH.

    Behind the ears, down to their lobes, the head is taken to be hairy.

    Args:
        head: Its regions decide.
        binding: Where the splats ride.
        rest: Vertices at rest in head space, metres.
    """
    label = torch.zeros(len(binding.face), dtype=torch.long)
    for i, names in enumerate(_PARTS, start=1):
        for name in names:
            if name in head.regions:
                label[at_splats(head.regions[name].float(), head.faces, binding) > 0.5] = i
    if "ears" in head.regions and bool((head.regions["ears"] > 0.5).any()):
        ears = rest[head.regions["ears"] > 0.5]
        place = at_splats(rest, head.faces, binding)
        behind = (place[:, 2] < ears[:, 2].min() + 0.005) & (place[:, 1] > ears[:, 1].min())
        label[behind & (label == SKIN)] = HAIR
    return label


def known(
    shown: Float[Tensor, " n"], facing: Float[Tensor, " n"], skin: Bool[Tensor, " n"], photo: bool = False
) -> Float[Tensor, " n"]:
    """Returns how far each splat is known, in [0, 1], from the best views of it.

    Skin that was only ever seen along its surface is not: a sliver at the edge of the face takes the colours of what
    lies behind it, and shows them as flecks from the side.

    Args:
        shown: Share of it that the view which shows most of it shows.
        facing: Largest cosine between its surface and the way to a view that shows it.
        skin: Which are skin; hair and clothes have no surface to speak of.
        photo: There is one view only.
    """
    grazing, plainly = _PHOTO_TRUST if photo else _TRUST
    seen = ((shown - _HIDDEN) / (PLAIN - _HIDDEN)).clamp(0, 1)
    plain = ((facing - grazing) / (plainly - grazing)).clamp(0, 1)
    return torch.where(skin, torch.minimum(seen, plain), seen)


def default_colours(head: HeadModel, binding: Binding) -> Float[Tensor, "n 3"]:
    """Returns the head model's own colours at the splats, sRGB; grey where it has none."""
    colours = getattr(head, "colours", None)
    if colours is None:
        return torch.full((len(binding.face), 3), 0.5)
    return at_splats(colours.float(), head.faces, binding).clamp(0, 1)


def fill(
    colours: Float[Tensor, "n 3"],
    seen: Bool[Tensor, " n"],
    points: Float[Tensor, "n 3"],
    part: Int[Tensor, " n"],
    default: Float[Tensor, "n 3"],
    marked: Bool[Tensor, " n"] | None = None,
) -> Float[Tensor, "n 3"]:
    """Returns the colours with those of unseen splats made up.

    Skin, hair and clothes take the mean of the nearest seen splats of the same part, of their mirror images left to
    right (of skin where its own side has nothing near), and (hair and clothes) of their images turned to the back. Eyes
    and mouth take the head model's own colours, in the light of the scene. Hair that was never seen (a cap, a tight
    crop) is the model's default.

    Args:
        colours: sRGB; read where seen.
        seen: Which splats a frame showed.
        points: Splats at rest in head space, metres.
        part: From `parts`.
        default: From `default_colours`.
        marked: Skin of a colour of its own (lids, brows, lips), which others do not take.
    """
    marked = torch.zeros_like(seen) if marked is None else marked
    result = colours.clone()
    light = _light(colours, default, seen & (part == SKIN))
    for label in (SKIN, HAIR, CLOTHES):
        here = part == label
        missing, known = here & ~seen, here & seen
        if not missing.any():
            continue
        if label == HAIR:
            known = known & _typical(colours, known)
        elif label == SKIN:
            known = known & ~marked
        if int(known.sum()) < _NEIGHBOURS:
            made_up = _DEFAULTS.get(label)
            result[missing] = default[missing] * light if made_up is None else torch.tensor(made_up) * light
            continue
        result[missing] = _nearest_mean(points[known], colours[known], points[missing], turn=label != SKIN)
    for label in (EYES, MOUTH):
        missing = (part == label) & ~seen
        result[missing] = (default[missing] * light).clamp(0, 1)
    return result


def on(head: HeadModel, region: str, binding: Binding) -> Bool[Tensor, " n"]:
    """Returns which splats lie on a region of the head; none where the head does not name it."""
    if region not in head.regions:
        return torch.zeros(len(binding.face), dtype=torch.bool)
    return at_splats(head.regions[region].float(), head.faces, binding) > 0.3


def without_teeth(
    colours: Float[Tensor, "n 3"], lips: Bool[Tensor, " n"], seen: Bool[Tensor, " n"], points: Float[Tensor, "n 3"]
) -> Float[Tensor, "n 3"]:
    """Returns the colours with those of pale splats of the lips taken from the others there.

    The rim of smiling lips is narrower than a splat, which then takes the colour of the teeth behind it, and shows it
    when the mouth closes.

    Args:
        colours: sRGB.
        lips: Which are of the lips.
        seen: Which splats a frame showed.
        points: Splats at rest in head space, metres.
    """
    red = colours[:, 0] - colours[:, 1]
    if not (lips & seen).any():
        return colours
    pale = lips & (red < _PALE * red[lips & seen].median())
    return _as_others(colours, pale, lips & seen & ~pale, points)


def without_eyes(
    colours: Float[Tensor, "n 3"],
    lids: Bool[Tensor, " n"],
    shown: Float[Tensor, " n"],
    facing: Float[Tensor, " n"],
    points: Float[Tensor, "n 3"],
) -> Float[Tensor, "n 3"]:
    """Returns the colours with those of the folded parts of open lids taken from the parts in plain view.

    They begin with what lies beside them, the white of the eye and the iris, and would show it when the lids close.

    Args:
        colours: sRGB.
        lids: Which are of the lids.
        shown: Share of each that a view shows.
        facing: Cosine between its surface and the way to the camera.
        points: Splats at rest in head space, metres.
    """
    plain = lids & (shown > _PLAIN_LID) & (facing > _LID_FACING)
    if not plain.any():
        return colours
    bright = colours.mean(-1)
    odd = lids & ((bright - bright[plain].median()).abs() > _ODD)
    return _as_others(colours, odd, plain & ~odd, points)


def _as_others(colours: Tensor, wrong: Tensor, right: Tensor, points: Tensor) -> Tensor:
    """Returns the colours with the wrong ones made up from the right ones near them, where there are enough."""
    if not wrong.any() or int(right.sum()) < _NEIGHBOURS:
        return colours
    result = colours.clone()
    result[wrong] = _nearest_mean(points[right], colours[right], points[wrong], turn=False)
    return result


def _typical(colours: Tensor, known: Tensor) -> Bool[Tensor, " n"]:
    """Returns which colours are nearer to the middle than the farther third: forehead and background go with hair."""
    if not known.any():
        return known
    away = (colours - colours[known].median(0).values).norm(dim=-1)
    return away <= away[known].quantile(0.65)


def marked(head: HeadModel, binding: Binding) -> Bool[Tensor, " n"]:
    """Returns which splats lie on skin of a colour of its own."""
    found = torch.zeros(len(binding.face), dtype=torch.bool)
    for name in ("lids", "brows", "lips"):
        if name in head.regions:
            found |= at_splats(head.regions[name].float(), head.faces, binding) > 0.2
    return found


def _light(colours: Tensor, default: Tensor, skin: Tensor) -> Tensor:
    """Returns the ratio of the scene's brightness to that of the default skin, 1 where no skin was seen."""
    if not skin.any():
        return torch.ones(())
    return (colours[skin].median(0).values.mean() / default[skin].median(0).values.mean().clamp(min=0.05)).clamp(
        0.4, 1.3
    )


def _nearest_mean(known: Tensor, colours: Tensor, wanted: Tensor, turn: bool) -> Tensor:
    flip = known.new_tensor([-1.0, 1.0, 1.0])
    places, values = [known, known * flip], [colours, colours]
    if turn:
        # The back looks like the front: its outline is all that was seen of it.
        front = known[:, 2].quantile(0.9) if len(known) < 1_000_000 else known[:, 2].max()
        back = wanted[:, 2].min()
        turned = known.clone()
        turned[:, 2] = front + back - known[:, 2]
        places, values = [*places, turned, turned * flip], [*values, colours, colours]
    count = _NEIGHBOURS if turn else min(_SKIN_NEIGHBOURS, len(known))
    distance, index = KDTree(torch.cat(places).numpy()).query(wanted.numpy(), k=count, workers=1)
    # Weights fall with distance on the scale of each point's own neighbourhood: near the rim the rim decides.
    weight = 1.0 / np.maximum(distance, 1e-4) ** 2
    if not turn:
        away, _ = KDTree(known.numpy()).query(wanted.numpy(), workers=1)
        other = np.minimum(away / _MIRRORED, 1.0)[:, None] ** 2
        weight = np.where(index < len(known), weight, np.maximum(other, 1e-6) * weight)
    weight = torch.from_numpy(weight / weight.sum(-1, keepdims=True)).float()
    return (torch.cat(values)[torch.from_numpy(index)] * weight[..., None]).sum(1)
