"""Measures edits of colour on rendered pixels: `python -m tools.measure_looks A.a3d [B.a3d ...]`.

For each region: the CIEDE2000 between its mean colour before and after, over that between before and what was asked,
at half and at full amount, in a view that the edit did not look from; and the largest change of another region's mean
colour, over the region's own.
"""

import argparse
import json

import torch
from torch import Tensor

import avatar3d
from avatar3d.core import Avatar, AvatarError, Camera, Pose
from avatar3d.edit import edit
from avatar3d.edit.look import regions
from avatar3d.edit.look.colour import difference, from_oklab, parse_colour, to_oklab
from avatar3d.edit.look.measure import share
from avatar3d.edit.look.recolour import Recolour
from avatar3d.edit.look.surface import at_rest
from avatar3d.geometry import orbit
from avatar3d.ops import splat
from avatar3d.render.path import posed

WANTED = {
    "iris": "#3a7a4a",
    "lips": "#b02038",
    "brows": "#5a3a20",
    "skin": "#7a5038",
    "hair": "#8a3018",
    "whites": "#e0e0d0",
    "clothes": "#25457a",
    "teeth": "#d8d0b8",
}
SURE = 0.65
"""Share of a pixel that a region must have to be measured there."""
SURER = 0.97
"""The same of another region, whose rim the edited one may share."""
LEAST = 15


def camera(name: str) -> Camera:
    """Returns a camera that sees a region, not one of those that edits measure with."""
    near = name in ("iris", "lips", "brows", "whites", "teeth")
    fov = 0.17 if name in ("iris", "whites") else 0.3 if near else 0.5
    height = 0.0 if name in ("iris", "whites") else -0.03
    around = orbit(torch.tensor([0.15]), 0.08, 0.75, (0.0, height, 0.0), (320, 320), fov)
    return around.at(0)


def pose_of(name: str, head: str) -> Pose:
    return posed(head, {"jawOpen": 0.35, "mouthSmile": 0.7, "mouthUpperUp": 0.7} if name == "teeth" else {})


def mean_colour(avatar: Avatar, mask: Tensor, pose: Pose, lens: Camera) -> Tensor:
    """Returns the mean colour of pixels, averaged in OKLab, sRGB."""
    seen = splat.rasterize(at_rest(avatar, pose), lens)
    lab = to_oklab((seen.rgb[mask] / seen.alpha[mask].clamp_min(1e-3)).clamp(0, 1))
    return from_oklab(lab.mean(0)).clamp(0, 1)


def masks(avatar: Avatar, pose: Pose, lens: Camera, sure: float) -> dict[str, Tensor]:
    splats = at_rest(avatar, pose)
    alpha = splat.rasterize(splats, lens).alpha[..., 0] > 0.95
    return {n: (share(splats, lens, regions.weights(avatar, n)) > sure) & alpha for n in WANTED}


def measure(avatar: Avatar, name: str) -> dict | None:
    """Returns gains at half and full amount, and what happens elsewhere; None where the region is not to be seen."""
    pose, lens = pose_of(name, avatar.head), camera(name)
    where = masks(avatar, pose, lens, SURER) | {name: masks(avatar, pose, lens, SURE)[name]}
    if int(where[name].sum()) < LEAST:
        return None
    colour = torch.tensor(parse_colour(WANTED[name]))
    before = {n: mean_colour(avatar, m, pose, lens) for n, m in where.items() if int(m.sum()) >= LEAST}
    gains, out = [], {}
    for amount in (0.5, 1.0):
        try:
            changed = edit(avatar, Recolour(name, WANTED[name], amount))
        except AvatarError:
            return None
        after = {n: mean_colour(changed, where[n], pose, lens) for n in before}
        lab = to_oklab(before[name])
        asked = from_oklab(lab + amount * (to_oklab(colour) - lab)).clamp(0, 1)
        moved = float(difference(before[name], after[name]))
        gains.append(moved / float(difference(before[name], asked)))
        apart = {n: float(difference(before[n], after[n])) / moved for n in before if n != name}
        worst = max(apart, key=lambda n: apart[n]) if apart else ""
        out = {"asked": float(difference(before[name], asked)), "gain": gains, "apart": apart.get(worst, 0.0)}
        out |= {"where": worst, "pixels": int(where[name].sum())}
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("avatars", nargs="+")
    parser.add_argument("--only", nargs="*", default=list(WANTED))
    given = parser.parse_args()
    table = {}
    for path in given.avatars:
        avatar = avatar3d.load(path)
        for name in given.only:
            found = measure(avatar, name)
            table[f"{path} {name}"] = found
            if found is None:
                print(f"{path:<40} {name:<8} not to be seen", flush=True)
                continue
            gains = " ".join(f"{g:.2f}" for g in found["gain"])
            print(
                f"{path:<40} {name:<8} asked {found['asked']:5.1f}  gain {gains}  apart {found['apart']:.3f} "
                f"({found['where']}), {found['pixels']} px",
                flush=True,
            )
    print(json.dumps(table))


if __name__ == "__main__":
    main()
