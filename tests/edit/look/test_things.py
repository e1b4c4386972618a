"""Hiding, and things put on."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from avatar3d import heads
from avatar3d.core import AvatarError
from avatar3d.edit import edit, from_json
from avatar3d.edit.look import regions
from avatar3d.edit.look.attach import Attach, Wear, packed
from avatar3d.edit.look.hide import Hide
from avatar3d.edit.look.measure import share
from avatar3d.edit.look.recolour import Recolour
from avatar3d.edit.look.surface import at_rest
from avatar3d.geometry import orbit
from avatar3d.ops import splat
from avatar3d.render.path import posed

HEAD = heads.load("anny")
LENS = orbit(torch.tensor([0.3]), 0.1, 0.75, (0.0, -0.02, 0.0), (200, 200), 0.42).at(0)


def box(size: float = 0.02) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]) * size
    faces = [
        [0, 1, 3],
        [0, 3, 2],
        [4, 6, 7],
        [4, 7, 5],
        [0, 4, 5],
        [0, 5, 1],
        [2, 3, 7],
        [2, 7, 6],
        [0, 2, 6],
        [0, 6, 4],
    ]
    return corners, np.array([*faces, [1, 5, 7], [1, 7, 3]]), np.tile([0.0, 1.0, 0.0], (12, 1))


def test_hidden_hair_is_gone_and_skin_is_there(figure) -> None:
    bald = edit(figure, Hide("hair"))
    weights = regions.weights(bald, "hair")
    before, after = (splat.rasterize(at_rest(a), LENS) for a in (figure, bald))
    hairy = (share(at_rest(figure), LENS, regions.weights(figure, "hair")) > 0.9) & (before.alpha[..., 0] > 0.9)
    assert float(share(at_rest(bald), LENS, weights)[hairy].mean()) < 0.1
    assert after.alpha[..., 0][hairy].mean() > 0.9, "no hole"
    assert after.rgb[hairy].mean() > before.rgb[hairy].mean() + 0.2, "skin is brighter than the hair was"


def test_half_hidden_shines_through_and_deleted_is_smaller(figure) -> None:
    half, none = (edit(figure, Hide("clothes", a, fill=False)) for a in (0.5, 1.0))
    rows = regions.weights(figure, "clothes") > 0.99
    opacity = [float(a.gaussians.opacities[rows].mean()) for a in (figure, half, none)]
    assert opacity[0] > opacity[1] > 0.3 * opacity[0] and opacity[2] < 1e-3
    gone = edit(figure, Hide("clothes", delete=True, fill=False))
    assert len(gone.gaussians) < len(figure.gaussians) - 500
    assert len(gone.gaussians) == len(gone.binding.face) == gone.basis.sh.shape[1]
    assert torch.equal(edit(figure, Hide("clothes", 0.0)).gaussians.logits, figure.gaussians.logits)
    with pytest.raises(AvatarError, match="to delete a region leave it at 1"):
        Hide("hair", 0.5, delete=True)


@pytest.mark.parametrize("thing", ["glasses", "aviator sunglasses", "round glasses", "beanie", "cap", "hat"])
def test_things_move_with_the_skull_and_with_nothing_else(figure, thing) -> None:
    """To a tenth of a millimetre, in any expression and turn of the head."""
    worn = edit(figure, Wear(thing))
    rows = regions.weights(worn, regions.ATTACHED) > 0.5
    assert int(rows.sum()) == len(worn.gaussians) - len(figure.gaussians) > 300
    rest = at_rest(worn).means[rows]
    assert torch.equal(at_rest(worn).means[~rows], at_rest(figure).means)
    pose = posed("anny", {"headYaw": 30.0, "headPitch": 12.0, "jawOpen": 0.7, "browInnerUp": 1.0, "cheekPuff": 1.0})
    skull = HEAD.joint_transforms(figure.identity, pose)[HEAD.joints.index("head")]
    expected = rest @ skull[:3, :3].T + skull[:3, 3]
    assert (at_rest(worn, pose).means[rows] - expected).norm(dim=-1).max() < 1e-4


def test_glasses_are_before_the_eyes_and_on_the_ears(figure) -> None:
    worn = edit(figure, Wear("glasses"))
    at = at_rest(worn).means[regions.weights(worn, regions.ATTACHED) > 0.5]
    assert float(at[:, 2].max()) > 0.02 and float(at[:, 2].min()) < -0.07
    assert abs(float(at[:, 0].mean())) < 2e-3
    front = at[at[:, 2] > 0.01]
    assert float(front[:, 1].min()) > -0.035 and float(front[:, 1].max()) < 0.03


def test_a_hat_hides_what_is_under_it_and_can_be_recoloured_and_hidden(figure) -> None:
    worn = edit(figure, Wear("beanie", "#2040a0"))
    top = share(at_rest(worn), LENS, regions.weights(worn, "hair"))
    assert float((top > 0.5).sum()) < 0.4 * float(
        (share(at_rest(figure), LENS, regions.weights(figure, "hair")) > 0.5).sum()
    )
    red = edit(worn, Recolour(regions.ATTACHED, "#b02020"))
    cover = share(at_rest(red), LENS, regions.weights(red, regions.ATTACHED)) > 0.9
    seen = splat.rasterize(at_rest(red), LENS).rgb[cover].mean(0)
    assert seen[0] > 2 * seen[2]
    assert float(share(at_rest(edit(worn, Hide("attached"))), LENS, torch.zeros(len(worn.gaussians))).max()) < 1e-3


def test_a_mesh_is_put_where_it_is_asked(figure) -> None:
    made = packed(*box(), place="head", size=1.0, up=0.2, right=0.05)
    worn = edit(figure, made)
    at = at_rest(worn).means[regions.weights(worn, regions.ATTACHED) > 0.5]
    assert torch.allclose(at.mean(0), torch.tensor([-0.05, 0.2, 0.0]), atol=2e-4)
    assert torch.allclose(at.amax(0) - at.amin(0), torch.full((3,), 0.04), atol=2e-3)
    again = from_json(made.to_json())
    assert again == made
    crown = edit(figure, packed(*box(7.0), place="crown"))
    at = at_rest(crown).means[regions.weights(crown, regions.ATTACHED) > 0.5]
    assert 0.14 < float(at[:, 0].max() - at[:, 0].min()) < 0.3 and float(at[:, 1].min()) > 0.03


def test_damaged_meshes_are_refused(figure) -> None:
    good = packed(*box())
    for change, words in (
        ({"points": "!!"}, "not base64"),
        ({"points": "AAAA"}, "damaged"),
        ({"faces": good.points}, "does not hold|do not belong"),
        ({"extent": -1.0}, "give a number from"),
    ):
        with pytest.raises(AvatarError, match=words):
            replace(good, **change)
    points, faces, colours = box()
    with pytest.raises(AvatarError, match="simplify"):
        packed(points, np.tile(faces, (6000, 1)), np.tile(colours, (6000, 1)))
    with pytest.raises(AvatarError, match="give another size"):
        edit(figure, packed(points, faces, colours, size=500.0))
    with pytest.raises(AvatarError, match=r"not finite|no extent"):
        packed(points * 0, faces, colours)
    assert isinstance(good, Attach)
