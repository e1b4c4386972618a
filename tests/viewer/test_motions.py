"""The player's reader of Live Link Face files beside Python's: the same weights, joints, times from one text."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from avatar3d import motions
from avatar3d.core import AvatarError
from avatar3d.motions import livelink

_HEADER = livelink.HEADER
_NAMES = _HEADER.split(",")[2:]
_ANGLES = _NAMES[-9:]
_READ = """([text, name]) => {
  player.loadMotion(text, name);
  const m = player.motion;
  return { fps: m.fps, frames: m.frames, expression: [...m.expression], joints: [...m.joints], root: m.root };
}"""


def _take(frames: int = 5, **ways: float) -> list[dict[str, float]]:
    """Rows in which every column says something else, and the angles of the eyes what the weights say, roughly."""
    draw = np.random.default_rng(4)
    rows = []
    for row in draw.uniform(0, 0.6, (frames, len(_NAMES))):
        values = dict(zip(_NAMES, row, strict=True))
        for side, inner in (("Left", 1), ("Right", -1)):
            gaze = {x: values[f"EyeLook{x}{side}"] for x in ("In", "Out", "Up", "Down")}
            values[f"{side}EyeYaw"] = inner * (gaze["In"] - gaze["Out"]) + 0.05
            values[f"{side}EyePitch"] = gaze["Down"] - gaze["Up"] - 0.03
        rows.append(values)
    return [{name: value * ways.get(name, 1.0) for name, value in row.items()} for row in rows]


def _text(rows: list[dict[str, float]], times: list[str] | None = None, header: str = _HEADER) -> str:
    coded = zip(times or ["0"] * len(rows), rows, strict=True)
    lines = [",".join([time, "61", *(f"{x:.8f}" for x in row.values())]) for time, row in coded]
    return "\n".join([header, *lines]) + "\n"


def _plain() -> str:
    return _text(_take())


def _degrees() -> str:
    return _text(_take(**dict.fromkeys(_ANGLES, 57.0)))


def _other_signs() -> str:
    return _text(_take(**{name: -1.0 for name in _ANGLES if "Eye" in name}))


def _no_weights_of_gaze() -> str:
    return _text(_take(**{name: 0.0 for name in _NAMES if "EyeLook" in name}))


def _short_names() -> str:
    header = ",".join(n[:-4] + "_L" if n.endswith("Left") else n.upper() for n in _HEADER.split(","))
    return _text(_take(), header=header)


def _no_face() -> str:
    lines = _plain().splitlines()
    lines[1] = "0,0"
    lines[3] = "0,0" + ",0" * len(_NAMES)
    return "\n".join(lines)


def _dropped() -> str:
    kept = [i for i in range(40) if i not in (11, 12, 25)]
    return _text(_take(len(kept)), [livelink.timecode(i + 29, 30000 / 1001) for i in kept])


def _midnight() -> str:
    return _text(_take(4), ["23:59:59:58.000", "23:59:59:59.000", "00:00:00:00.000", "00:00:00:01.000"])


_FILES: tuple[Callable[[], str], ...] = (
    _plain,
    _degrees,
    _other_signs,
    _no_weights_of_gaze,
    _short_names,
    _no_face,
    _dropped,
    _midnight,
)


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("takes")
    paths = {make.__name__: folder / f"{make.__name__}.csv" for make in _FILES}
    for make in _FILES:
        paths[make.__name__].write_text(make())
    return paths


def test_the_takes_differ_where_they_should(files) -> None:
    """Each take exercises what it is named for: else the comparison below says nothing."""
    read = {name: motions.read(path) for name, path in files.items()}
    eyes = {name: motion.pose.joints[:, 2:4] for name, motion in read.items()}
    assert eyes["_plain"].abs().max() > 0.05 and not eyes["_other_signs"].any()
    assert eyes["_no_weights_of_gaze"].abs().max() > 0.05
    assert 0.2 < read["_degrees"].pose.joints.abs().max() < 2
    assert len(read["_dropped"]) == 40 and read["_dropped"].fps == pytest.approx(30000 / 1001)
    assert len(read["_no_face"]) == 5 and read["_midnight"].fps == 60


def test_the_player_reads_live_link_files_as_python_does(opened, small, files) -> None:
    page = opened(small)
    names = page.call("() => player.names")
    for name, path in files.items():
        truth = motions.read(path)
        found = page.call(_READ, [path.read_text(), path.name])
        assert found["frames"] == len(truth), name
        assert found["fps"] == pytest.approx(truth.fps, rel=1e-9), name
        assert found["root"] is None
        weights = np.reshape(found["expression"], (len(truth), -1))
        for i, shape in enumerate(truth.names):
            expected = truth.pose.expression[:, i].numpy()
            np.testing.assert_allclose(weights[:, names.index(shape)], expected, atol=1e-6, err_msg=f"{name}: {shape}")
        joints = np.reshape(found["joints"], (len(truth), -1, 3))
        np.testing.assert_allclose(joints, truth.pose.joints.numpy(), atol=2e-6, err_msg=name)


def test_what_python_refuses_the_player_refuses(opened, small, tmp_path) -> None:
    page = opened(small)
    cells = _plain().splitlines()
    faceless = [cells[0], *(["0,0"] * 3)]
    percent = _text(_take(JawOpen=100.0))
    twice = _plain().replace("Timecode", "jaw_open", 1)
    bad = {"narrow": cells[0] + "\n1,2,3", "faceless": "\n".join(faceless), "percent": percent, "twice": twice}
    said = {"narrow": "line 2", "faceless": "no face", "percent": "JawOpen", "twice": "twice"}
    for name, text in bad.items():
        path = tmp_path / f"{name}.csv"
        path.write_text(text)
        with pytest.raises(AvatarError, match=name):
            motions.read(path)
        told = page.call(
            "([t, n]) => { try { player.loadMotion(t, n); } catch (e) { return e.message; } }", [text, name]
        )
        assert said[name] in (told or ""), name


def test_a_head_that_turns_the_wrong_way_is_told_and_turned(opened, small, tmp_path) -> None:
    looks = dict.fromkeys(_ANGLES, 0.0) | {"LeftEyeYaw": -0.2, "RightEyeYaw": -0.2, "HeadYaw": -0.3, "HeadPitch": 0.1}
    rows = [dict.fromkeys(_NAMES, 0.0) | {"EyeLookInLeft": 0.4, "EyeLookOutRight": 0.4} | looks for _ in range(4)]
    path = tmp_path / "other.csv"
    path.write_text(_text(rows))
    page = opened(small, "", (740, 300))
    page.drop(path)
    page.until("() => document.querySelector('.toast').textContent.includes('the other way')")
    page.page.locator("#tab-Takes").click()
    page.page.get_by_role("button", name="Turn the head the other way").click()
    found = np.reshape(page.call("() => [...player.motion.joints]"), (4, -1, 3))
    truth = motions.read(path, flip="yaw,roll").pose.joints.numpy()
    np.testing.assert_allclose(found[:, :2], truth[:, :2], atol=2e-6)
