"""The shapes that sliders move: vertex offsets of the default head, baked from MakeHuman's targets (CC0)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError, safe_open
from scipy.spatial import KDTree
from torch import Tensor

from avatar3d import heads
from avatar3d.core import AvatarError
from avatar3d.edit.shape_names import NAMES
from avatar3d.heads import AnnyHead

_DATA = Path(__file__).parent / "data" / "shapes.safetensors"
MOST, MOST_BODY = 12e-3, 25e-3
"""Metres that a shape at 1 moves a vertex at most, of the head and of what is below it. MakeHuman's ends are those of
caricature: one of them moves the crown by 5 cm."""
_BODY = ("neck_", "torso_", "shoulders_", "arms_")
_CORNER, _CORNER_REACH, _CORNER_MOVE = (0.058, -0.083, -0.042), 0.018, 6e-3
"""Corner of the jaw, standard deviation of what moves with it, how far; metres."""
_KEPT: tuple[tuple[tuple[str, ...], str, float], ...] = (
    (("eyes_", "eye_bags"), "brows", 4e-3),
    (("cheeks_",), "nose", 2e-3),
    (("jaw_angle", "chin_", "neck_width", "neck_depth", "neck_girth", "head_fat"), "ears", 2e-3),
    (("neck_depth", "neck_girth"), "chin", 2e-3),
    (("nose_forward",), "cheeks", 2e-3),
    (("nose_forward", "nose_height", "nose_base"), "lips", 5e-3),
    (("nose_bridge_width",), "lids", 2e-3),
    (("mouth_width", "mouth_volume", "lip_upper", "laugh_lines"), "nose", 2e-3),
)
"""Regions that shapes (by the beginnings of their names) leave alone where MakeHuman's targets move them along, and
metres around them that are left alone, too."""
_FADE = 6e-3
"""Metres over which a shape then grows to its full strength."""
_PHILTRUM = -0.05
"""Height below which the region of the nose is upper lip, metres."""


@dataclass(frozen=True)
class Offsets:
    """What a shape at 1 adds to vertices."""

    vertices: Int[Tensor, " k"]
    moves: Float[Tensor, "k 3"]
    """Metres in head space; the eyes' middle stays where the whole head would be lifted."""

    @property
    def reach(self) -> float:
        """How far the vertex moves that moves most, metres."""
        return float(self.moves.norm(dim=-1).max())

    def added_to(self, shape: Float[Tensor, "v 3"], amount: float) -> Float[Tensor, "v 3"]:
        """Returns vertex offsets with this shape's added."""
        return shape.index_add(0, self.vertices, amount * self.moves)


@cache
def shapes() -> Mapping[str, Offsets]:
    """Returns the shapes by their readable names.

    Raises:
        AvatarError: The data file is missing or damaged.
    """
    head = heads.load("anny")
    assert isinstance(head, AnnyHead)
    raw = _read()
    out = {}
    for name, source, _ in NAMES:
        moves = _jaw_corners(head) if not source else raw[source] * _away(head, name)
        eyes = moves[head.regions["eyes"] > 0.5].mean(0)
        if float(eyes.abs().max()) > 1e-2:  # a longer neck lifts the head; seen from the head, the body sinks
            moves = moves - eyes
        most = MOST_BODY if name.startswith(_BODY) else MOST
        moves = moves * min(1.0, most / float(moves.norm(dim=-1).max()))
        touched = (moves.abs().amax(-1) > 1e-5).nonzero()[:, 0]
        out[name] = Offsets(touched, moves[touched])
    return out


def _read() -> dict[str, Float[Tensor, "v 3"]]:
    count = len(heads.load("anny").soft)
    try:
        with safe_open(str(_DATA), framework="pt") as file:
            data = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise AvatarError(f"{_DATA}: not readable ({error}); reinstall avatar3d or run tools/bake_shapes.py") from error
    names = json.loads(bytes(data["names"].tolist()))
    out = {}
    for i, name in enumerate(names):
        part = slice(int(data["starts"][i]), int(data["starts"][i + 1]))
        moves = torch.zeros(count, 3)
        moves[data["vertices"][part].long()] = data["moves"][part].float()
        out[name] = moves
    return out


def _away(head: AnnyHead, name: str) -> Float[Tensor, "v 1"]:
    """Returns how strongly a shape acts on each vertex: 0 in regions that it leaves alone, 1 away from them."""
    out = torch.ones(len(head.template), 1)
    for starts, region, clear in _KEPT:
        if name.startswith(starts):
            kept = head.template[head.regions[region] > 0.5]
            if region == "nose":
                kept = kept[kept[:, 1] > _PHILTRUM]
            away, _ = KDTree(kept.double().numpy()).query(head.template.double().numpy(), workers=1)
            t = ((torch.from_numpy(away).float() - clear) / _FADE).clamp(0, 1)
            out *= (t * t * (3 - 2 * t))[:, None]
    return out


def _jaw_corners(head: AnnyHead) -> Float[Tensor, "v 3"]:
    """Returns corners of the jaw moved outwards, fading with the distance; MakeHuman has no such target."""
    place = head.template
    away = torch.cat([place[:, :1].abs(), place[:, 1:]], 1) - torch.tensor(_CORNER)
    near = torch.exp(-0.5 * (away.norm(dim=-1) / _CORNER_REACH) ** 2)
    near = (near - 0.01).clamp(min=0) * (1 - head.regions["ears"]) * (1 - head.regions["mouth_interior"])
    out = torch.zeros_like(place)
    out[:, 0] = place[:, 0].sign() * _CORNER_MOVE * near
    return out
