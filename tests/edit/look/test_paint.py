"""Paint, make-up and textures: where they are seen, and what they leave alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar3d import heads
from avatar3d.core import AvatarError, Camera
from avatar3d.edit import edit, undo
from avatar3d.edit.look import regions
from avatar3d.edit.look.image import spot
from avatar3d.edit.look.makeup import Makeup
from avatar3d.edit.look.packed import pack_image
from avatar3d.edit.look.paint import Paint
from avatar3d.edit.look.split import gathered, joined, quartered
from avatar3d.edit.look.surface import at_rest, surface
from avatar3d.edit.look.texture import difference
from avatar3d.geometry import orbit
from avatar3d.ops import splat
from avatar3d.render.path import posed

HEAD = heads.load("anny")


def dot(side: int = 48) -> str:
    y, x = np.mgrid[:side, :side]
    out = np.zeros((side, side, 4), np.uint8)
    out[..., 2] = 255
    out[..., 3] = 255 * (np.hypot(x - side / 2 + 0.5, y - side / 2 + 0.5) < side / 2)
    return pack_image(out)


def camera(yaw: float, pitch: float = 0.0, side: int = 256) -> Camera:
    return orbit(torch.tensor([yaw]), pitch, 0.75, (0.0, -0.03, 0.0), (side, side), 0.36).at(0)


def projected(lens: Camera, point: torch.Tensor) -> torch.Tensor:
    seen = lens.K @ (lens.w2c[:3, :3] @ point + lens.w2c[:3, 3])
    return seen[:2] / seen[2]


@pytest.fixture(scope="module")
def fine(figure):
    """The figure with splats on its cheeks as small as those of a fit (those of the doll are its triangles)."""
    out = figure
    for _ in range(2):
        coarse = surface(out).region("cheeks") > 0.05
        out = joined(gathered(out, torch.nonzero(~coarse)[:, 0]), quartered(out, torch.nonzero(coarse)[:, 0]))
    return out


@pytest.fixture(scope="module")
def dotted(fine):
    return edit(fine, Paint(dot(), at="cheek_left", width=0.006))


@pytest.mark.parametrize(
    ("yaw", "pitch", "settings"),
    [
        (0.55, 0.0, {}),
        (0.7, 0.0, {}),
        (1.1, 0.1, {}),
        (0.6, 0.35, {}),
        (0.6, -0.3, {}),
        (0.5, 0.0, {"cheekPuff": 0.8, "mouthSmile": 0.7, "jawOpen": 0.4}),
        (0.3, 0.0, {"headYaw": 25.0, "headPitch": -10.0, "mouthLeft": 0.6}),
    ],
)
def test_a_dot_is_where_it_should_be_and_follows_the_face(fine, dotted, yaw, pitch, settings) -> None:
    """Its centre in the picture is that of the place on the mesh to 2.3 pixels of 256, at rest and in motion."""
    pose, lens = posed("anny", settings), camera(yaw, pitch)
    before, after = (splat.rasterize(at_rest(a, pose), lens).rgb for a in (fine, dotted))
    change = (before - after)[..., 0].clamp_min(0) * ((before - after)[..., 0] > 0.15)
    assert change.sum() > 5
    rows, columns = torch.meshgrid(torch.arange(256) + 0.5, torch.arange(256) + 0.5, indexing="ij")
    centre = torch.stack([(columns * change).sum(), (rows * change).sum()]) / change.sum()
    under = surface(fine)
    place, _ = spot(under, "cheek_left")
    vertex = int((under.vertices - place).norm(dim=-1).argmin())
    expected = projected(lens, HEAD.vertices(fine.identity, pose)[vertex])
    # Opaque splats show the nearer of two: an edge seen at a slant shifts by about the size of a splat, 1 mm here.
    assert (centre - expected).norm() < 2.3


def test_what_is_not_painted_keeps_its_bits(fine, dotted) -> None:
    """The untouched splats are those of before, in order; only splats near the dot were split."""
    n = len(dotted.gaussians) - len(fine.gaussians)
    assert n > 0 and n % 3 == 0
    same = {tuple(row) for row in fine.gaussians.means.tolist()}
    kept = torch.tensor([tuple(row) in same for row in dotted.gaussians.means.tolist()])
    place, _ = spot(surface(fine), "cheek_left")
    assert (at_rest(dotted).means[~kept] - place).norm(dim=-1).max() < 0.02
    back = undo(dotted)
    for name, value in vars(fine.gaussians).items():
        assert torch.equal(getattr(back.gaussians, name), value)


def test_a_split_looks_like_the_splat(figure) -> None:
    rows = torch.nonzero(regions.weights(figure, "cheeks") > 0.5)[:, 0]
    parts = [quartered(figure, rows), replace(figure, gaussians=figure.gaussians.gather(rows))]
    parts[1] = replace(parts[1], binding=figure.binding.gather(rows), basis=figure.basis.gather(rows))
    four, one = (splat.rasterize(at_rest(p), camera(0.3)) for p in parts)
    inside = one.alpha[..., 0] > 0.9
    assert (four.rgb - one.rgb).abs()[inside].mean() < 0.02


@pytest.mark.parametrize("by", ["view", "uv"])
def test_a_picture_from_a_view_or_on_the_texture(figure, by) -> None:
    image = np.zeros((64, 64, 4), np.uint8)
    if by == "view":  # the upper middle of the picture: forehead and hair
        image[16:22, 26:38] = (0, 255, 0, 255)
    else:
        under = surface(figure)
        row = torch.nonzero(under.region("forehead") > 0.95)[0, 0]
        u, v = under.uv[row]
        r, c = int((1 - v) * 64), int(u * 64)
        image[r - 2 : r + 3, c - 2 : c + 3] = (0, 255, 0, 255)
    painted = edit(figure, Paint(pack_image(image), by=by))
    greener = splat.rasterize(at_rest(painted), camera(0.0)).rgb - splat.rasterize(at_rest(figure), camera(0.0)).rgb
    green = greener[..., 1] > 0.15
    assert 10 < int(green.sum()) < 4000
    assert float(green.nonzero()[:, 0].float().mean()) < 110, "above the eyes"


@pytest.mark.parametrize("style", ["blush", "eyeliner", "eyeshadow", "lipstick", "freckles"])
def test_make_up_is_where_it_belongs_and_grows(figure, style) -> None:
    at = {"blush": "cheeks", "eyeliner": "lids", "eyeshadow": "lids", "lipstick": "lips", "freckles": "face"}[style]
    lens = camera(0.0)
    before = splat.rasterize(at_rest(figure), lens).rgb
    moves = []
    for amount in (0.4, 1.0):
        change = (splat.rasterize(at_rest(edit(figure, Makeup(style, amount))), lens).rgb - before).abs().sum(-1)
        moves.append(float(change.sum()))
    assert 0 < moves[0] < moves[1]
    rows, columns = (change > 0.25 * change.max()).nonzero().unbind(1)
    place = surface(figure).vertices[HEAD.regions[at] > 0.3]
    pixels = torch.stack([projected(lens, p) for p in place])
    low, high = pixels.amin(0) - 14, pixels.amax(0) + 14
    assert (columns >= low[0]).all() and (columns <= high[0]).all()
    assert (rows >= low[1]).all() and (rows <= high[1]).all()
    assert edit(figure, Makeup(style, 0.0)).gaussians.sh is figure.gaussians.sh


def test_freckles_fall_elsewhere_with_another_seed(figure) -> None:
    one, same, other = (edit(figure, Makeup("freckles", 1.0, seed=s)).gaussians for s in (1, 1, 2))
    assert torch.equal(one.sh, same.sh)
    assert one.sh.shape != other.sh.shape or not torch.equal(one.sh, other.sh)


def test_an_unchanged_texture_is_no_edit_and_a_patch_is_one_patch() -> None:
    before = np.full((64, 64, 3), 120, np.uint8)
    assert difference(before, before.copy()) is None
    after = before.copy()
    after[10:14, 20:26, 0] = 200
    made = difference(before, after)
    from avatar3d.edit.look.packed import unpack_image

    changed = unpack_image(made.after, "after")[..., 3] > 0
    assert int(changed.sum()) == 24 and changed[10:14, 20:26].all()
    with pytest.raises(AvatarError, match="do not resize"):
        difference(before, after[:32])


def test_a_changed_texture_changes_its_place_by_what_was_changed(figure) -> None:
    under = surface(figure)
    row = int(torch.nonzero(under.region("forehead") > 0.95)[0, 0])
    u, v = under.uv[row]
    before = np.full((256, 256, 3), 120, np.uint8)
    after = before.copy()
    r, c = int((1 - v) * 256), int(u * 256)
    after[r - 8 : r + 9, c - 8 : c + 9, 2] = 170
    changed = edit(figure, difference(before, after))
    near = (surface(changed).point - under.point[row]).norm(dim=-1) < 0.002
    old = (under.point - under.point[row]).norm(dim=-1) < 0.002
    blue = [(0.5 + 0.28209479 * a.gaussians.sh[m, 0, 2]).mean() for a, m in ((figure, old), (changed, near))]
    assert float(blue[1] - blue[0]) == pytest.approx(50 / 255, rel=0.1)
    cheek = surface(changed).region("nose") > 0.9
    assert torch.equal(
        changed.gaussians.sh[cheek].sort(0).values, figure.gaussians.sh[under.region("nose") > 0.9].sort(0).values
    )
