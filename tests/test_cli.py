"""The command line: its forms, its JSON, and one line for whatever goes wrong."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import avatar3d
from avatar3d import store
from avatar3d.cli import main
from avatar3d.core import AvatarError

HOME = str(Path(avatar3d.__file__).resolve().parents[1])


@pytest.fixture(scope="session")
def doll_file(doll, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("doll") / "doll.a3d"
    store.save(doll, path)
    return path


def run_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    """Runs a command that must succeed and returns the JSON object on the last line of stdout."""
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def run_bad(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """Runs a command that must fail and returns what it said, which must be one line and no traceback."""
    assert main([*map(str, arguments), "--quiet"]) != 0
    said = capsys.readouterr().err.strip().splitlines()
    said = [line for line in said if not line.startswith("INFO: Created TensorFlow")]
    assert len(said) == 1 and said[0].startswith("avatar3d: "), said
    return said[0]


def test_a_picture_has_the_pose_and_alpha(capsys, doll_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "face.png"
    arguments = ("render", doll_file, "--set", "jawOpen=0.6", "--yaw", 30, "--size", 160, "-o", out)
    assert run_json(capsys, *arguments) == {"output": str(out), "frames": 1, "width": 160, "height": 160}
    with Image.open(out) as image:
        posed = np.asarray(image)
    assert posed.shape == (160, 160, 4) and posed[..., 3].min() == 0 and posed[..., 3].max() > 250
    assert main(["render", str(doll_file), "--yaw", "30", "--size", "160", "-o", str(out), "--quiet"]) == 0
    with Image.open(out) as image:
        assert (np.asarray(image) != posed).any()


def test_an_orbit_is_a_video(capsys, doll_file: Path, tmp_path: Path) -> None:
    out = tmp_path / "orbit.mp4"
    result = run_json(
        capsys, "render", doll_file, "--orbit", 60, "--seconds", 0.4, "--fps", 10, "--size", 96, "-o", out
    )
    assert result["frames"] == 4
    with av.open(str(out)) as file:
        pictures = [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]
    assert len(pictures) == 4 and pictures[0].shape == (96, 96, 3)
    assert np.abs(pictures[1].astype(int) - pictures[3]).mean() > 1  # to the left and to the right


def test_a_replay_uses_the_camera_of_the_clip(capsys, doll_file: Path, tmp_path: Path) -> None:
    result = run_json(capsys, "render", doll_file, "--replay", "--size", 128, "-o", tmp_path / "a.mp4")
    assert (result["frames"], result["width"], result["height"]) == (6, 128, 128)


def test_doctor_reports(capsys) -> None:
    report = run_json(capsys, "doctor")
    names = {check["name"] for check in report["checks"]}
    assert {"torch", "kernels", "head", "video", "disk"} <= names
    assert all(check["detail"] for check in report["checks"])


def test_two_words_name_a_command(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["score", "fit", "--help"])
    assert ended.value.code == 0 and "held-out frames" in capsys.readouterr().out


def test_version(capsys) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == avatar3d.__version__


def test_arguments_that_do_not_parse_exit_with_2(capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["fit", "clip.mp4"])
    assert ended.value.code == 2 and "--output" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--set", "jawOpn=1", "-o", "a.png"), "nearest: jawOpen"),
        (("--set", "jawOpen=2", "-o", "a.png"), "from 0 to 1"),
        (("--set", "jawOpen", "-o", "a.png"), "write name=value|must be a finite number"),
        (("--yaw", "nan", "-o", "a.png"), "not a finite number"),
        (("--size", "0", "-o", "a.png"), "from 1 to 8192"),
        (("-o", "a.jpg"), "must end in .png or .mp4"),
        (("-o", "a.mp4"), "a video needs --orbit"),
        (("--orbit", "60", "-o", "a.png"), "must end in .mp4"),
        (("--orbit", "60", "--replay", "-o", "a.mp4"), "do not go together"),
        (("--orbit", "999", "-o", "a.mp4"), "from 0 to 360"),
        (("--orbit", "60", "--fps", "0", "-o", "a.mp4"), "--fps"),
        (("--orbit", "60", "--background", "none", "-o", "a.mp4"), "no transparency"),
        (("--motion", "none.a3d", "-o", "a.mp4"), "no such file"),
        (("--threads", "0", "-o", "a.png"), "--threads 0"),
    ],
)
def test_wrong_render_arguments(capsys, doll_file: Path, tmp_path: Path, monkeypatch, arguments, said: str) -> None:
    import re

    monkeypatch.chdir(tmp_path)
    assert re.search(said, run_bad(capsys, "render", doll_file, *arguments))
    assert list(tmp_path.iterdir()) == []


def test_a_camera_with_a_nan(capsys, doll, tmp_path: Path, monkeypatch) -> None:
    """JSON cannot carry a NaN, so a damaged avatar shows it as another kind of value; both are refused."""
    camera = {**doll.about["camera"], "K": [[None, 0, 1], [0, 1, 1], [0, 0, 1]]}
    store.save(replace(doll, about={**doll.about, "camera": camera}), tmp_path / "a.a3d")
    assert "camera" in run_bad(capsys, "render", tmp_path / "a.a3d", "--replay", "-o", tmp_path / "a.mp4")
    camera = {**doll.about["camera"], "K": [[1e39, 0, 1], [0, 1, 1], [0, 0, 1]]}  # infinite in single precision
    store.save(replace(doll, about={**doll.about, "camera": camera}), tmp_path / "a.a3d")
    said = run_bad(capsys, "render", tmp_path / "a.a3d", "--replay", "-o", tmp_path / "a.mp4")
    assert "NaN or infinity" in said
    assert not (tmp_path / "a.mp4").exists()


def grey_noise(seed: int, height: int = 128, width: int = 160) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 160, (height, width, 3), dtype=np.uint8)


def bad_source(kind: str, folder: Path) -> Path:
    """Makes an input that cannot become a head."""
    from avatar3d.render.video import write_png, write_video

    if kind == "missing":
        return folder / "missing.mp4"
    if kind == "text":
        (folder / "text.mp4").write_text("this is not a video\n" * 50)
        return folder / "text.mp4"
    if kind == "tiny":
        write_png(folder / "tiny.png", np.zeros((1, 1, 3), np.uint8))
        return folder / "tiny.png"
    if kind == "empty folder":
        (folder / "empty").mkdir()
        return folder / "empty"
    if kind == "no face":
        write_png(folder / "noise.png", grey_noise(0))
        return folder / "noise.png"
    write_video(folder / "clip.mp4", (grey_noise(i) for i in range(12)), 25.0)
    data = (folder / "clip.mp4").read_bytes()
    (folder / "clip.mp4").write_bytes(data[: len(data) // 10])
    return folder / "clip.mp4"


@pytest.mark.parametrize("kind", ["missing", "text", "tiny", "empty folder", "no face", "truncated"])
@pytest.mark.parametrize("verb", ["fit", "track"])
def test_bad_input_gets_one_line_and_leaves_nothing(capfd, tmp_path: Path, kind: str, verb: str) -> None:
    source = bad_source(kind, tmp_path)
    before = sorted(tmp_path.rglob("*"))
    said = run_bad(capfd, verb, source, "-o", tmp_path / "out" / "a.a3d")
    assert source.name in said
    assert sorted(tmp_path.rglob("*")) == before


def test_an_output_that_cannot_be_written_is_said_before_the_work(capsys, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for verb in ("fit", "track"):
        said = run_bad(capsys, verb, "missing.mp4", "-o", tmp_path / "file" / "a.a3d")
        assert "cannot be written" in said
    assert "must end in .a3d" in run_bad(capsys, "fit", "missing.mp4", "-o", tmp_path / "a.ply")


def subprocess_render(doll_file: Path, limit: int | None, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Runs the command in a process of its own whose files may not grow beyond `limit` bytes."""
    import resource

    def limited() -> None:
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.run(
        [sys.executable, "-m", "avatar3d", "render", str(doll_file), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": HOME},
        cwd=doll_file.parent,  # Python puts the working directory before everything else
        preexec_fn=limited,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="file size limits are POSIX")
@pytest.mark.parametrize("name", ["a.png", "a.mp4"])
def test_a_full_disk_gets_one_line_and_leaves_the_older_file(doll_file: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / name
    out.write_text("older")
    more = ("--orbit", "90", "--seconds", "1") if name.endswith("mp4") else ()
    done = subprocess_render(doll_file, 2000, "-o", out, "--size", 256, *more, "--quiet")
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1 and "no space left" in done.stderr
    assert out.read_text() == "older" and list(tmp_path.iterdir()) == [out]


def test_the_command_works_in_a_process_of_its_own(doll_file: Path, tmp_path: Path) -> None:
    done = subprocess_render(doll_file, None, "-o", tmp_path / "a.png", "--size", 64, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["width"] == 64


def test_an_interrupt_is_tidy(capsys, doll_file: Path, tmp_path: Path, monkeypatch) -> None:
    from avatar3d.render import video

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(video, "write_bytes", interrupted)
    assert main(["render", str(doll_file), "-o", str(tmp_path / "a.png"), "--size", "32", "--quiet"]) == 130
    assert capsys.readouterr().err == "avatar3d: interrupted\n"  # nothing of fits, which alone go on
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_fit_says_that_it_goes_on(capsys, tmp_path: Path, monkeypatch) -> None:
    from avatar3d import pipeline

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, "make", interrupted)
    assert main(["fit", "clip.mp4", "-o", str(tmp_path / "a.a3d"), "--quiet"]) == 130
    assert "continues where it stopped" in capsys.readouterr().err


@pytest.mark.parametrize("times", [1, 2])
def test_ctrl_c_ends_the_view_quietly(capsys, monkeypatch, times: int) -> None:
    """The second Ctrl-C comes while the server closes, which takes a moment."""
    from avatar3d.viewer import server

    closed, close = [], server.Served.close

    def interrupted(_):
        raise KeyboardInterrupt

    def closing(served):
        close(served)
        closed.append(served.url)
        if times > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(server.Served, "wait", interrupted)
    monkeypatch.setattr(server.Served, "close", closing)
    assert main(["view", "--no-browser", "--quiet"]) == 0
    assert capsys.readouterr().err == "" and len(closed) == 1


def test_score_fit_without_held_out_frames_is_said(doll) -> None:
    from avatar3d.pipeline import training_frames

    assert training_frames(100, 0.2) == 80 and training_frames(1, 0.2) == 1 and training_frames(7, 0.0) == 7
    with pytest.raises(AvatarError, match="--hold-out"):
        training_frames(10, 1.0)
