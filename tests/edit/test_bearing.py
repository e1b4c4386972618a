"""Edits of expression and pose, on what is shown."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar3d import heads, rig
from avatar3d.core import AvatarError, Bearing
from avatar3d.edit import edit
from avatar3d.edit.acting import units
from avatar3d.edit.bearing import Close, Face, Gain, GazeAt
from avatar3d.heads.lips import lips
from avatar3d.render.image import world_splats
from avatar3d.render.path import neutral, posed

HEAD = heads.load("anny")


def shown(avatar, pose):
    return rig.carried(pose, avatar.bearing)


def column(name: str) -> int:
    return HEAD.expressions.index(name)


def test_a_face_is_what_the_same_pose_shows(doll) -> None:
    """The edit at rest equals the unedited avatar in that pose, to the bit, splat for splat."""
    settings_ = {"jawOpen": 0.25, "eyeBlinkLeft": 0.5, "headYaw": 20.0, "gazePitch": -10.0}
    edited = edit(doll, Face(settings_))
    a, b = world_splats(edited, neutral(HEAD)), world_splats(doll, posed(HEAD, settings_))
    assert torch.equal(a.means, b.means) and torch.equal(a.quats, b.quats)


def test_faces_add_up_and_units_are_weights(doll) -> None:
    twice = edit(doll, Face({"jawOpen": 0.2}), Face({"jawOpen": 0.15}))
    assert shown(twice, neutral(HEAD)).expression[column("jawOpen")] == pytest.approx(0.35)
    au = edit(doll, Face({"AU12": "C"})).bearing
    for name, weight in units.weights({"AU12": "C"}).items():
        assert au.offset[column(name)] == pytest.approx(weight)


def test_hold_stands_and_add_adds(doll) -> None:
    moving = posed(HEAD, {"eyeBlinkLeft": 0.4, "jawOpen": 0.4, "headYaw": 30.0})
    held = shown(edit(doll, Face({"eyeBlinkLeft": 0.1, "headYaw": 0.0}, hold=1.0)), moving)
    assert held.expression[column("eyeBlinkLeft")] == pytest.approx(0.1)
    assert held.expression[column("jawOpen")] == pytest.approx(0.4), "what is not named moves on"
    assert held.joints.abs().max() == 0
    added = shown(edit(doll, Face({"eyeBlinkLeft": 0.1})), moving)
    assert added.expression[column("eyeBlinkLeft")] == pytest.approx(0.5)


def test_gain_scales_what_a_motion_says(doll) -> None:
    moving = posed(HEAD, {"mouthPucker": 0.6, "browInnerUp": 0.6, "headYaw": 30.0})
    weak = shown(edit(doll, Gain({"mouth": 0.5, "head": 0.0})), moving)
    assert weak.expression[column("mouthPucker")] == pytest.approx(0.3)
    assert weak.expression[column("browInnerUp")] == pytest.approx(0.6)
    assert weak.joints.abs().max() == 0


@given(st.lists(st.floats(0, 1, width=32), min_size=52, max_size=52))
@settings(max_examples=25, deadline=None)
def test_closed_lips_meet_in_every_face(doll, weights) -> None:
    """Measured in millimetres on the mesh."""
    pose = replace(neutral(HEAD), expression=torch.tensor(weights))
    # Weights that only shape closed lips (corners, rolls, press) may part them by themselves; those that open may not.
    for name in HEAD.expressions:
        if name.startswith("mouth") and not name.startswith(("mouthLower", "mouthUpper", "mouthFunnel", "mouthClose")):
            pose.expression[column(name)] = 0
    closed = shown(edit(doll, Close(lips=1.0)), pose)
    assert lips("anny").gap(closed.expression[None].numpy())[0] < 0.3


def test_closing_is_monotone(doll) -> None:
    moving = posed(HEAD, {"jawOpen": 0.6, "mouthLowerDown": 0.5})
    gaps = [
        lips("anny").gap(shown(edit(doll, Close(lips=x)), moving).expression[None].numpy())[0]
        for x in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert gaps == sorted(gaps, reverse=True) and gaps[0] > 5 and gaps[-1] < 0.3


@given(st.floats(-0.5, 0.5), st.floats(-0.3, 0.25), st.floats(0.5, 3.0))
@settings(max_examples=25, deadline=None)
def test_eyes_look_at_the_point(doll, x, y, z) -> None:
    """Both eyes' axes, as the mesh turns them, pass the point within half a degree, whatever the motion's gaze."""
    pose = shown(edit(doll, GazeAt((x, y, z))), posed(HEAD, {"gazeYaw": 15.0, "eyeLookDownLeft": 0.5}))
    turns = HEAD.joint_transforms(doll.identity, pose)
    rest = HEAD.rest_joints(doll.identity)
    for eye in ("eye_left", "eye_right"):
        at = HEAD.joints.index(eye)
        centre = turns[at, :3, :3] @ rest[at] + turns[at, :3, 3]
        axis = turns[at, :3, 2]
        towards = torch.nn.functional.normalize(torch.tensor([x, y, z]) - centre, dim=0)
        assert math.degrees(math.acos(min(1.0, float(axis @ towards)))) < 0.5


def test_lids_follow_the_gaze(doll) -> None:
    down = edit(doll, GazeAt((0.0, -0.3, 0.6))).bearing
    assert down.offset[column("eyeLookDownLeft")] > 0.3 and down.offset[column("eyeLookUpLeft")] == 0


def test_a_bearing_of_another_head_is_refused(doll) -> None:
    wrong = Bearing(torch.ones(3), torch.zeros(3), torch.ones(6), torch.zeros(6, 3))
    with pytest.raises(AvatarError, match="a bearing of 3 expressions and 6 joints"):
        world_splats(replace(doll, bearing=wrong), neutral(HEAD))
