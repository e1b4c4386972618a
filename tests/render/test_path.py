"""Poses by name and moving cameras."""

import math

import pytest
import torch

from avatar3d import heads
from avatar3d.core import AvatarError
from avatar3d.render.path import TURNS, orbit_views, parse_settings, posed, swing, view


def test_values_land_on_their_names() -> None:
    head = heads.load("anny")
    pose = posed(head, {"jawOpen": 0.6, "eyeBlink": 1.0})
    named = dict(zip(head.expressions, pose.expression.tolist(), strict=True))
    set_ones = {name for name, value in named.items() if value}
    assert set_ones == {"jawOpen", "eyeBlinkLeft", "eyeBlinkRight"}
    assert named["jawOpen"] == pytest.approx(0.6) and named["eyeBlinkLeft"] == 1


def test_every_name_is_accepted() -> None:
    head = heads.load("anny")
    for name in [*head.expressions, *TURNS]:
        pose = posed(head, {name: 0.5})
        assert float(pose.expression.abs().sum() + pose.joints.abs().sum()) > 0


def test_head_yaw_turns_the_nose_to_the_heads_left() -> None:
    """Neck and head together turn by the whole angle; positive yaw is towards +x."""
    head = heads.load("anny")
    pose = posed(head, {"headYaw": 30.0})
    turned = head.joint_transforms(torch.zeros(len(head.identities)), pose)[head.joints.index("head")]
    nose = turned[:3, :3] @ torch.tensor([0.0, 0.0, 1.0])
    assert math.degrees(math.atan2(float(nose[0]), float(nose[2]))) == pytest.approx(30, abs=0.5)


def test_head_pitch_nods_down() -> None:
    head = heads.load("anny")
    pose = posed(head, {"headPitch": 20.0})
    turned = head.joint_transforms(torch.zeros(len(head.identities)), pose)[head.joints.index("head")]
    assert float((turned[:3, :3] @ torch.tensor([0.0, 0.0, 1.0]))[1]) == pytest.approx(
        -math.sin(math.radians(20)), abs=0.02
    )


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"jawOpn": 0.5}, "unknown name 'jawOpn'; nearest: jawOpen"),
        ({"headYa": 5.0}, "nearest: headYaw"),
        ({"jawOpen": 1.5}, "jawOpen: 1.5 is out of range; it goes from 0 to 1"),
        ({"headYaw": 90.0}, "from -60 to 60 degrees"),
        ({"jawOpen": float("nan")}, "out of range"),
    ],
)
def test_wrong_settings_are_answered(settings, said: str) -> None:
    with pytest.raises(AvatarError, match=said):
        posed("anny", settings)


def test_settings_are_read_from_texts() -> None:
    assert parse_settings(["jawOpen=0.6", "headYaw=-20, eyeBlink=1"]) == {"jawOpen": 0.6, "headYaw": -20, "eyeBlink": 1}
    for text in ("jawOpen", "jawOpen=", "jawOpen=wide", "jawOpen=nan", "=1=2"):
        with pytest.raises(AvatarError, match="as in jawOpen"):
            parse_settings([text])


def test_an_orbit_swings_and_a_turntable_turns() -> None:
    angles = swing(60.0, 100).rad2deg()
    assert float(angles.max()) == pytest.approx(60, abs=0.1) and float(angles.min()) == pytest.approx(-60, abs=0.1)
    assert float(angles[0]) == 0
    turn = swing(360.0, 90).rad2deg()
    assert torch.allclose(turn.diff(), torch.full((89,), 4.0), atol=1e-3)


def test_zoom_enlarges_and_the_camera_looks_at_the_head() -> None:
    near, far = view(zoom=2.0), view(zoom=1.0)
    assert float(near.K[0, 0] / far.K[0, 0]) == pytest.approx(2, rel=1e-5)
    assert torch.equal(near.w2c, far.w2c)
    cameras = orbit_views(torch.tensor([0.0, 1.0, 3.0]), 15.0, (64, 64))
    assert torch.allclose(cameras.position.sub(torch.tensor([0.0, -0.045, -0.02])).norm(dim=-1), torch.tensor(0.75))


def test_wrong_views_are_said() -> None:
    for call in (
        lambda: view(yaw=float("nan")),
        lambda: view(pitch=89.0),
        lambda: view(size=(0, 5)),
        lambda: view(zoom=0.0),
        lambda: swing(400.0, 3),
        lambda: swing(float("inf"), 3),
    ):
        with pytest.raises(AvatarError):
            call()
