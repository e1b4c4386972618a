"""Regions of an avatar as soft weights of its splats: skin, lips, brows, iris, hair, teeth, clothes ..."""

from collections import OrderedDict
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError, Binding, first_of
from avatar3d.edit.look import pixels
from avatar3d.edit.look.colour import to_oklab
from avatar3d.edit.look.surface import Surface, surface
from avatar3d.edit.look.tissue import CLOTHES, HAIR, SKIN, tissue
from avatar3d.ops.reference import SH_C0

PARTS = ("skin", "lips", "brows", "iris", "pupil", "whites", "hair", "teeth", "gums", "tongue", "mouth", "clothes")
"""What the picture decides on."""
PLACES = ("face", "forehead", "lids", "nose", "cheeks", "chin", "jaw", "ears", "neck", "scalp")
"""What the head's mesh decides on; the skin of it."""
SIDED = ("brows", "iris", "pupil", "whites", "lids", "cheeks", "ears")
"""Of these there is a left one and a right one too: `iris_left` (the head's left)."""
ATTACHED = "attached"
"""Things put on by an edit: glasses, a hat."""
MARK = (0.5, 0.25, 0.25)
"""Barycentric coordinates of attached splats, which no fit makes: how they are known again."""
_SHOWN = 1.5  # pixels of the face's picture that a splat must cover for the picture to decide on it
_KEPT = 4  # avatars whose regions are kept: a list of edits asks for those of one avatar again and again
_kept: "OrderedDict[int, tuple[Avatar, dict[str, Tensor]]]" = OrderedDict()


def names() -> tuple[str, ...]:
    """Returns the names of all regions."""
    sides = [f"{name}_{side}" for name in SIDED for side in ("left", "right")]
    return (*PARTS, *PLACES, *sides, ATTACHED, "all")


def weights(avatar: Avatar, name: str) -> Float[Tensor, " n"]:
    """Returns how far each splat belongs to a region, in [0, 1].

    Regions are found on the avatar as it was before its first edit, and follow its splats from there: hair that was
    recoloured stays hair.

    Raises:
        AvatarError: No such region (the nearest are named), or the avatar's head has none.
    """
    first_of(names(), name)
    if name == "all":
        return torch.ones(len(avatar.gaussians))
    if not heads.load(avatar.head).regions:
        raise AvatarError(f"head '{avatar.head}' has no regions; edit an avatar that was fitted to a face")
    was = avatar.original or avatar
    src, put_on, laid = _origin(avatar, was)
    if name == ATTACHED:
        return put_on.float()
    out = _all(was)[name][src] * (~put_on).float()
    return torch.where(laid, float(name == "skin"), out)


def _origin(avatar: Avatar, was: Avatar) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the row that each splat had in the avatar before edits, and which splats are put on, and which are skin
    that was laid where something was taken away."""
    n = len(avatar.gaussians)
    put_on = (avatar.binding.bary == torch.tensor(MARK)).all(-1)
    if n == len(was.gaussians) and torch.equal(avatar.binding.face, was.binding.face):
        return torch.arange(n), put_on, torch.zeros(n, dtype=torch.bool)
    _, index = KDTree(_keys(was.binding, was).numpy()).query(_keys(avatar.binding, avatar).numpy(), workers=1)
    src = torch.from_numpy(np.asarray(index)).long()
    tied = (avatar.binding.face == was.binding.face[src]) & (avatar.binding.bary == was.binding.bary[src]).all(-1)
    return src, put_on, ~tied & ~put_on


def _keys(binding: Binding, avatar: Avatar) -> Float[Tensor, "n 7"]:
    """Returns points whose distances tell splats apart: by triangle first, then by place on it, then by offset."""
    parts = [binding.face[:, None].double() * 1e7, binding.bary.double() * 1e5, avatar.gaussians.means.double()]
    return torch.cat(parts, -1)


def _all(avatar: Avatar) -> dict[str, Float[Tensor, " n"]]:
    key = id(avatar)
    if key not in _kept or _kept[key][0] is not avatar:
        with torch.no_grad():
            _kept[key] = avatar, _found(avatar)
    _kept.move_to_end(key)
    while len(_kept) > _KEPT:
        _kept.popitem(last=False)
    return _kept[key][1]


def _found(avatar: Avatar) -> dict[str, Float[Tensor, " n"]]:
    under = surface(avatar)
    colours = (0.5 + SH_C0 * under.splats.sh[:, 0]).clamp(0, 1)
    kinds = tissue(under, to_oklab(colours))
    carried = _carried(avatar, under)
    inner = torch.maximum(carried["mouth_interior"], carried["eyes"]) > 0.5
    out = {
        name: torch.where(inner, 0.0, kinds[:, i]) for i, name in ((SKIN, "skin"), (HAIR, "hair"), (CLOTHES, "clothes"))
    }
    out |= {"mouth": carried["mouth_interior"], "gums": carried["gums"], "tongue": carried["tongue"]}
    _by_picture(avatar, under, carried, out)
    _through(under, inner & (carried["eyes"] < 0.5), out)
    special = torch.stack([out["lips"], out["brows"], out["teeth"]]).amax(0)
    out["skin"] = out["skin"] * (1 - special)
    out["hair"] = out["hair"] * (1 - out["brows"]) * (1 - out["lips"])
    for name in PLACES:
        bare = out["hair"] if name == "scalp" else out["skin"]
        out[name] = under.region(name) * torch.maximum(bare, out["skin"])
    left = (under.point[:, 0] > 0).float()
    for name in SIDED:
        out[f"{name}_left"], out[f"{name}_right"] = out[name] * left, out[name] * (1 - left)
    return out


def _carried(avatar: Avatar, under: Surface) -> Mapping[str, Float[Tensor, " n"]]:
    """Returns regions by the face that carries a splat: lips and teeth touch, and move apart."""
    faces = under.head.faces[avatar.binding.face]
    zero = torch.zeros(len(under.vertices))
    wanted = ("mouth_interior", "eyes", "teeth", "gums", "tongue")
    return {n: (under.head.regions.get(n, zero).float()[faces] * avatar.binding.bary).sum(1) for n in wanted}


def _through(under: Surface, inner: Bool[Tensor, " n"], out: dict[str, Tensor]) -> None:
    """Gives what shines through the skin of a closed mouth to the skin: a fit has coloured it so."""
    outer = torch.stack([out["lips"], out["skin"]], 0)
    for camera in (pixels.face_camera(yaw) for yaw in (0.0, -0.6, 0.6)):
        skin = pixels.shown(under.splats, camera, outer[1] * (1 - outer[0]))
        lips = pixels.shown(under.splats, camera, outer[0])
        seen, values = pixels.gathered(under.splats, camera, [skin > 0.3, lips > 0.3])
        share = (seen / _SHOWN).clamp(0, 1) * inner * (values[:, 1] < 0.3)
        out["skin"] = torch.maximum(out["skin"], share * values[:, 0])
    for name in ("mouth", "teeth", "gums", "tongue"):
        out[name] = torch.where(inner, out[name] * (1 - out["skin"]), out[name])


def _by_picture(avatar: Avatar, under: Surface, carried: Mapping[str, Tensor], out: dict[str, Tensor]) -> None:
    """Adds lips, teeth, brows, and what is in the eyes."""
    face = pixels.face_picture(under)
    eyes, mouth = carried["eyes"] > 0.5, carried["mouth_interior"] > 0.5
    outside = ~eyes & ~mouth
    hair = pixels.shown(under.splats, face.camera, out["hair"])
    lips, teeth = pixels.lips_and_teeth(under, face)
    brows = pixels.brows(under, face, hair)
    seen, values = pixels.gathered(under.splats, face.camera, [lips, teeth, brows])
    sure = (seen / _SHOWN).clamp(0, 1) * outside
    near = (under.height < 0.012).float()
    out["lips"] = (values[:, 0] * sure + under.region("lips") * (1 - sure) * outside) * near
    out["brows"] = values[:, 2] * sure * near
    out["teeth"] = torch.maximum(carried["teeth"] * mouth, values[:, 1] * sure)
    if not bool(eyes.any()):
        out |= {name: torch.zeros(len(eyes)) for name in ("iris", "pupil", "whites")}
        return
    picture, iris, pupil = pixels.irises(under, eyes)
    rows = torch.nonzero(eyes)[:, 0]
    seen, values = pixels.gathered(under.splats.gather(rows), picture.camera, [iris, pupil])
    sure = (seen / (_SHOWN / 3)).clamp(0, 1)
    disc = torch.maximum(under.region("iris"), under.region("pupil"))[rows]
    inner = under.region("pupil")[rows]
    guess = torch.stack([disc * (1 - inner), inner], -1)
    mixed = values[:, :2] * sure[:, None] + guess * (1 - sure[:, None])
    mixed = (mixed * 1.5 - 0.25).clamp(0, 1)  # at the iris's rim a splat is one thing or the other
    for i, name in enumerate(("iris", "pupil")):
        out[name] = torch.zeros(len(eyes)).index_put((rows,), mixed[:, i])
    out["whites"] = eyes.float() * (1 - out["iris"] - out["pupil"]).clamp(0, 1)
