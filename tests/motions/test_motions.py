"""Motion files: foreign ones written by hand from their descriptions, our own there and back, and damaged ones."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from avatar3d import heads, motions, store
from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.heads import ARKIT
from avatar3d.motions import livelink

# The app's header, typed from its description; the order differs from ARKit's alphabetical one.
APP = (
    "Timecode,BlendShapeCount,EyeBlinkLeft,EyeLookDownLeft,EyeLookInLeft,EyeLookOutLeft,EyeLookUpLeft,EyeSquintLeft,"
    "EyeWideLeft,EyeBlinkRight,EyeLookDownRight,EyeLookInRight,EyeLookOutRight,EyeLookUpRight,EyeSquintRight,"
    "EyeWideRight,JawForward,JawRight,JawLeft,JawOpen,MouthClose,MouthFunnel,MouthPucker,MouthRight,MouthLeft,"
    "MouthSmileLeft,MouthSmileRight,MouthFrownLeft,MouthFrownRight,MouthDimpleLeft,MouthDimpleRight,MouthStretchLeft,"
    "MouthStretchRight,MouthRollLower,MouthRollUpper,MouthShrugLower,MouthShrugUpper,MouthPressLeft,MouthPressRight,"
    "MouthLowerDownLeft,MouthLowerDownRight,MouthUpperUpLeft,MouthUpperUpRight,BrowDownLeft,BrowDownRight,BrowInnerUp,"
    "BrowOuterUpLeft,BrowOuterUpRight,CheekPuff,CheekSquintLeft,CheekSquintRight,NoseSneerLeft,NoseSneerRight,"
    "TongueOut,HeadYaw,HeadPitch,HeadRoll,LeftEyeYaw,LeftEyePitch,LeftEyeRoll,RightEyeYaw,RightEyePitch,RightEyeRoll"
)
NAMES = APP.split(",")[2:]


def app_row(time: str, **values: float) -> str:
    lower = {name.lower(): value for name, value in values.items()}
    return ",".join([time, "61", *(f"{lower.get(name.lower(), 0.0):.10f}" for name in NAMES)])


def some_motion(frames: int, fps: float = 25.0, seed: int = 0) -> Motion:
    random = torch.Generator().manual_seed(seed)
    head = heads.load("anny")
    root = torch.eye(4).repeat(frames, 1, 1)
    root[:, :3, 3] = torch.rand(frames, 3, generator=random)
    expression = torch.rand(frames, len(ARKIT), generator=random)
    joints = 0.3 * torch.randn(frames, len(head.joints), 3, generator=random)
    return Motion(Pose(expression, joints, root), fps, ARKIT)


def test_the_app_s_columns_are_the_app_s(tmp_path: Path) -> None:
    assert livelink.HEADER == APP
    assert sorted(livelink.NAMES) == sorted(ARKIT)


def test_a_recording_of_the_app(tmp_path: Path) -> None:
    lines = [
        app_row("19:18:11:58.000", jawOpen=0.25, eyeBlinkLeft=1.0, HeadYaw=0.3),
        app_row("19:18:11:59.000", jawOpen=0.5, HeadPitch=0.2),
        app_row("19:18:12:00.000", jawOpen=0.75, HeadRoll=0.1),
        app_row("19:18:12:01.000", mouthSmileRight=0.4),
    ]
    path = tmp_path / "take.csv"
    path.write_text("\n".join([APP, *lines]) + "\n")
    motion = motions.read(path)
    assert motion.fps == 60 and len(motion) == 4 and motion.names == ARKIT
    jaw = motion.pose.expression[:, ARKIT.index("jawOpen")]
    torch.testing.assert_close(jaw, torch.tensor([0.25, 0.5, 0.75, 0.0]))
    assert motion.pose.expression[0, ARKIT.index("eyeBlinkLeft")] == 1
    assert motion.pose.expression[3, ARKIT.index("mouthSmileRight")] == pytest.approx(0.4)
    turn = motion.pose.joints[:, :2].sum(1)  # neck and head turn about one axis here
    expected = torch.tensor([[0.0, -0.3, 0.0], [0.2, 0.0, 0.0], [0.0, 0.0, -0.1], [0.0, 0.0, 0.0]])
    torch.testing.assert_close(turn, expected, atol=1e-6, rtol=0)


def test_a_turn_of_the_head_shows_where_it_should(tmp_path: Path) -> None:
    path = tmp_path / "take.csv"
    path.write_text(
        "\n".join([APP, app_row("0", HeadYaw=0.5), app_row("0", HeadPitch=0.5), app_row("0", HeadRoll=0.5)])
    )
    head, pose = heads.load("anny"), motions.read(path).pose
    moved = head.vertices(torch.zeros(3, len(head.identities)), pose) - head.vertices(
        torch.zeros(3, len(head.identities)), Pose(pose.expression, 0 * pose.joints, pose.root)
    )
    nose = int(head.vertices(torch.zeros(len(head.identities)), pose[0].map(lambda x: 0 * x + x))[:, 2].argmax())
    assert moved[0, nose, 0] < -0.01  # to the person's right, which is -x
    assert moved[1, nose, 1] < -0.01  # down
    crown = int((head.template[:, 1] * (head.template[:, 1] < 0.2)).argmax())
    assert moved[2, crown, 0] > 0.01  # the crown to the left, +x


def test_eye_angles_count_once(tmp_path: Path) -> None:
    """The app says gaze twice, by weights and by angles: together they give the angles."""
    path = tmp_path / "take.csv"
    rows = [app_row("0", eyeLookInLeft=0.2, eyeLookOutRight=0.2, LeftEyeYaw=0.1, RightEyeYaw=0.1), app_row("0")]
    path.write_text("\n".join([APP, *rows]))
    pose, head = motions.read(path).pose, heads.load("anny")
    whole = head.gaze_angles(pose.expression) + pose.joints[:, 2:4]  # type: ignore[attr-defined]
    torch.testing.assert_close(whole[0, :, 1], torch.tensor([-0.1, -0.1]), atol=1e-5, rtol=0)
    rows = [app_row("0", eyeLookInLeft=0.2, LeftEyeYaw=-0.1), app_row("0")]  # a tool with other signs
    path.write_text("\n".join([APP, *rows]))
    assert not motions.read(path).pose.joints[:, 2:4].any()


def test_columns_are_found_by_name(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("JAWOPEN,eyeblink_l,Extra,mouth-smile-right\n0.5,1,x,0.25\n0,0,y,0\n")
    motion = motions.read(path, fps=30.0)
    assert motion.fps == 30
    row = dict(zip(ARKIT, motion.pose.expression[0].tolist(), strict=True))
    assert (row["jawOpen"], row["eyeBlinkLeft"], row["mouthSmileRight"]) == (0.5, 1, 0.25)


def test_frames_without_a_face_are_bridged(tmp_path: Path) -> None:
    path = tmp_path / "take.csv"
    path.write_text("\n".join([APP, app_row("0", jawOpen=0.2), "0,0", app_row("0", jawOpen=0.4)]))
    jaw = motions.read(path).pose.expression[:, ARKIT.index("jawOpen")]
    torch.testing.assert_close(jaw, torch.tensor([0.2, 0.3, 0.4]))


def test_dropped_frames_keep_their_time(tmp_path: Path) -> None:
    kept = [i for i in range(120) if i not in (40, 41, 42)]
    rows = [app_row(livelink.timecode(i, 30.0), jawOpen=i / 120) for i in kept]
    path = tmp_path / "take.csv"
    path.write_text("\n".join([APP, *rows]))
    motion = motions.read(path)
    assert motion.fps == 30 and len(motion) == 120
    np.testing.assert_allclose(motion.pose.expression[:, ARKIT.index("jawOpen")], np.arange(120) / 120, atol=1e-4)


@pytest.mark.parametrize("fps", [24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60.0])
def test_time_codes_tell_the_rate(tmp_path: Path, fps: float) -> None:
    motions.write(some_motion(round(3 * fps), fps), tmp_path / "a.csv")
    assert motions.read(tmp_path / "a.csv").fps == pytest.approx(fps, rel=1e-9)


def test_beat_and_lam_json(tmp_path: Path) -> None:
    beat = {"names": ["browDownLeft", "jawOpen"], "frames": [{"weights": [0.1, 0.2], "time": i / 60} for i in range(5)]}
    (tmp_path / "beat.json").write_text(json.dumps(beat))
    motion = motions.read(tmp_path / "beat.json")
    assert motion.fps == pytest.approx(60, rel=1e-3)
    assert motion.pose.expression[0, ARKIT.index("jawOpen")] == pytest.approx(0.2)
    lam = {
        "names": list(reversed(ARKIT)),
        "metadata": {"fps": 30.0, "frame_count": 2},
        "frames": [{"weights": [i / 100 for i in range(52)], "time": 0.0, "rotation": []}] * 2,
    }
    (tmp_path / "lam.json").write_text(json.dumps(lam))
    motion = motions.read(tmp_path / "lam.json")
    assert motion.fps == 30 and motion.pose.expression[1, 0] == pytest.approx(0.51)


def test_mediapipe_json(tmp_path: Path) -> None:
    turned = [[0.8, 0, 0.6, 1.0], [0, 1, 0, 2.0], [-0.6, 0, 0.8, -30.0], [0, 0, 0, 1]]
    columns = [turned[r][c] for c in range(4) for r in range(4)]
    web = {
        "faceBlendshapes": [
            {
                "categories": [
                    {"index": 0, "score": 0.9, "categoryName": "_neutral", "displayName": ""},
                    {"index": 25, "score": 0.5, "categoryName": "jawOpen", "displayName": ""},
                ]
            }
        ],
        "facialTransformationMatrixes": [{"rows": 4, "columns": 4, "data": columns}],
    }
    (tmp_path / "web.json").write_text(json.dumps([web, {"faceBlendshapes": []}]))
    motion = motions.read(tmp_path / "web.json")
    assert motion.pose.expression[:, ARKIT.index("jawOpen")].tolist() == [0.5, 0.0]
    torch.testing.assert_close(motion.pose.joints[0, :2].sum(0), torch.tensor([0, np.arcsin(0.6), 0]).float())
    python = {"frames": [{"face_blendshapes": [[{"category_name": "jawOpen", "score": 0.25}]], "timestamp": 0}]}
    (tmp_path / "python.json").write_text(json.dumps(python))
    assert motions.read(tmp_path / "python.json").pose.expression[0, ARKIT.index("jawOpen")] == 0.25


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 7), st.integers(0, 1000))
def test_json_there_and_back_is_the_same(tmp_path_factory: pytest.TempPathFactory, frames: int, seed: int) -> None:
    path = tmp_path_factory.mktemp("json") / "m.json"
    motion = some_motion(frames, seed=seed)
    motions.write(motion, path)
    back = motions.read(path)
    assert back.fps == motion.fps and back.names == motion.names
    for name in ("expression", "joints", "root"):
        assert torch.equal(getattr(back.pose, name), getattr(motion.pose, name)), name


def test_csv_there_and_back_shows_the_same_head(tmp_path: Path) -> None:
    """Joints come back as one turn of the head: weights and gaze are the same, and the way the face points."""
    motion = some_motion(40)
    motions.write(motion, tmp_path / "m.csv")
    back = motions.read(tmp_path / "m.csv")
    torch.testing.assert_close(back.pose.expression, motion.pose.expression, atol=1e-6, rtol=0)
    before, after = motions.curves.to_curves(motion), motions.curves.to_curves(back)
    np.testing.assert_allclose(after.head, before.head, atol=1e-5)
    np.testing.assert_allclose(after.eyes, before.eyes, atol=1e-5)


def test_a_motion_may_be_written_in_pieces(tmp_path: Path) -> None:
    motion = some_motion(30)
    for suffix in (".csv", ".json"):
        motions.write(motion, tmp_path / f"whole{suffix}")
        with motions.MotionWriter.open(tmp_path / f"pieces{suffix}", motion.fps) as writer:
            for start in (0, 7, 20):
                end = {0: 7, 7: 20, 20: 30}[start]
                writer.add(Motion(motion.pose[start:end], motion.fps, motion.names))
        assert (tmp_path / f"whole{suffix}").read_bytes() == (tmp_path / f"pieces{suffix}").read_bytes()


def test_an_avatar_s_performance(tmp_path: Path, doll) -> None:
    store.save(doll, tmp_path / "doll.a3d")
    motion = motions.read(tmp_path / "doll.a3d")
    assert torch.equal(motion.pose.expression, doll.motion.pose.expression) and motion.pose.soft is None


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "", "empty"),
        ("b.csv", "nose,chin\n1,2\n", "none of the 52"),
        ("c.csv", "jawOpen,mouthClose\n0.1,0.2\n0.1,wide\n", "line 3, column mouthClose: 'wide'"),
        ("d.csv", "jawOpen,mouthClose\n0.1,0.2\n0.1\n", "line 3 has 1 columns"),
        ("e.csv", "jawOpen\n0.1\nnan\n", "line 3, column jawOpen: NaN"),
        ("f.csv", "jawOpen,JawOpen\n0.1,0.2\n", "twice"),
        ("g.csv", "jawOpen\n12\n", "percentages"),
        ("h.csv", "jawOpen\n", "0 frames"),
        ("i.json", "{", "not JSON"),
        ("j.json", '{"names": ["jawOpen"], "frames": []}', "no list of frames"),
        ("k.json", '{"names": ["jawOpen"], "frames": [{"weights": [1]}, {"weights": [1, 2]}]}', "frame 1"),
        ("l.json", '{"names": ["jawOpen"], "frames": [{"weights": ["a"]}]}', "frame 0"),
        ("m.json", '{"names": ["jawOpen"], "frames": [[NaN]]}', "NaN"),
        ("n.json", '{"names": ["jawOpen"], "fps": 0, "frames": [[1]]}', "fps"),
        ("o.json", '{"names": ["jawOpen"], "frames": [{"weights": [1], "rotation": [1]}]}', "rotation"),
        ("p.txt", "x", "motions are"),
        ("q.json", "[1, 2]", "frame 0"),
        ("r.a3d", "x", "not an avatar3d file"),
    ],
)
def test_damaged_files_say_where(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(AvatarError, match=said) as error:
        motions.read(tmp_path / name)
    assert name in str(error.value) and "\n" not in str(error.value)


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(AvatarError, match="no such motion"):
        motions.read(tmp_path / "none.csv")
    with pytest.raises(AvatarError, match=r"\.csv or \.json"):
        motions.write(some_motion(2), tmp_path / "m.bvh")
    with pytest.raises(AvatarError, match="without frames"), motions.MotionWriter.open(tmp_path / "m.csv", 25.0):
        pass
    assert not list(tmp_path.iterdir())


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=200), st.sampled_from([".csv", ".json"]))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str, suffix: str) -> None:
    path = tmp_path_factory.mktemp("any") / f"m{suffix}"
    path.write_text(text, encoding="utf-8", errors="ignore")
    with contextlib.suppress(AvatarError):
        motions.read(path)


def test_another_program_s_signs_are_doubted_and_flipped(tmp_path: Path, caplog) -> None:
    """Files of programs that do not count yaw as the app does: a warning, and a way to read them."""
    path = tmp_path / "other.csv"
    looks = {"eyeLookInLeft": 0.4, "eyeLookOutRight": 0.4}  # to the right
    row = app_row("0", **looks, LeftEyeYaw=-0.2, RightEyeYaw=-0.2, HeadYaw=-0.3, HeadRoll=0.1)
    path.write_text("\n".join([APP, row, row, row]))
    plain = motions.read(path).pose.joints[:, :2].sum(1)
    assert "flip yaw and roll" in caplog.text
    flipped = motions.read(path, flip="yaw, roll").pose.joints[:, :2].sum(1)
    torch.testing.assert_close(flipped, plain * torch.tensor([1.0, -1.0, -1.0]), atol=1e-6, rtol=0)
    caplog.clear()
    motions.read(path, flip="yaw")
    assert not caplog.text
    for flip, told in (("jaw", "yaw"), ("pitch,rol", "roll")):
        with pytest.raises(AvatarError, match=told):
            motions.read(path, flip=flip)
    with pytest.raises(AvatarError, match=r"\.csv"):
        motions.read(tmp_path / "a.a3d", flip="yaw")
