"""From files to files through the command line, on a real face, with a fit of a few steps."""

import json
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from avatar3d import assets, store
from avatar3d.cli import main
from avatar3d.core import AvatarError
from avatar3d.demo import portrait
from avatar3d.render.video import write_video

FRAMES = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a clip of a moving portrait (with sound) and a preset of a few steps."""
    pytest.importorskip("skimage")
    try:
        for name in ("face-landmarker", "selfie-segmentation"):
            assets.path(name)
    except AvatarError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("end_to_end")
    with Image.open(portrait()) as image:
        head = image.convert("RGB").crop((60, 0, 400, 340)).resize((280, 280))
    shifts = [(round(6 * np.sin(i)), i) for i in range(FRAMES)]
    images = [np.asarray(head.crop((12 + x, y, 268 + x, 256 + y))) for x, y in shifts]
    tone = 0.2 * np.sin(np.arange(16000) / 8).astype(np.float32)[None]
    write_video(folder / "clip.mp4", images, 25.0, tone, 16000)
    (folder / "tiny.toml").write_text("steps = 12\nphoto_steps = 8\nsplats = 4000\nblendshapes = 2\nbatch = 2\n")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert main([*map(str, arguments), "--json", "--quiet"]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


@pytest.fixture(scope="module")
def avatar(folder: Path) -> Path:
    path = folder / "a.a3d"
    preset = str(folder / "tiny.toml")
    fit = ["fit", str(folder / "clip.mp4"), "-o", str(path), "--preset", preset, "--hold-out", "0.2"]
    assert main([*fit, "--consent", "public domain", "--quiet"]) == 0
    return path


def test_a_fit_leaves_one_file_that_says_where_it_is_from(folder: Path, avatar: Path) -> None:
    names = {p.name for p in folder.iterdir()}
    assert not {n for n in names if "checkpoint" in n or n.startswith(".")}
    about = store.load(avatar).about
    assert (about["source"], about["consent"], about["hold_out"]) == ("clip.mp4", "public domain", 0.2)
    assert about["frames"] == FRAMES and about["camera"]["width"] == 256


def test_score_fit_prints_the_promised_fields(capsys, folder: Path, avatar: Path) -> None:
    score = run(capsys, "score", "fit", avatar, folder / "clip.mp4", "--dump", folder / "dump")
    assert set(score) >= {"psnr", "ssim", "lpips", "head", "face", "frames", "seconds"}
    assert set(score["head"]) == set(score["face"]) == {"psnr", "ssim", "lpips"}
    assert set(score["seconds"]) == {"capture", "track", "fit"}
    # A dozen steps make a blurred head, but one in the right place and colours: far better than an empty picture.
    truth = [np.asarray(Image.open(folder / "dump" / f"{i:05d}_truth.png"), dtype=float) / 255 for i in range(2)]
    empty = np.mean([-10 * np.log10(((1 - image) ** 2).mean()) for image in truth])
    assert score["frames"] == 2 and score["psnr"] > empty + 5 and score["face"]["psnr"] > empty + 5
    assert {p.name for p in (folder / "dump").iterdir()} == {
        f"{i:05d}_{kind}.png" for i in range(2) for kind in ("truth", "render", "matte")
    }


def test_capture_and_track_report_and_draw(capsys, folder: Path, avatar: Path) -> None:
    found = run(capsys, "capture", folder / "clip.mp4", "--matte", folder / "matte.mp4")
    assert (found["frames"], found["faces"], found["width"]) == (FRAMES, FRAMES, 256)
    assert found["audio_seconds"] == pytest.approx(0.4, abs=0.1)
    solved = run(capsys, "track", folder / "clip.mp4", "-o", folder / "t.a3d", "--overlay", folder / "overlay.mp4")
    assert solved["frames"] == FRAMES and solved["bridged"] == 0
    for name in ("matte.mp4", "overlay.mp4"):
        with av.open(str(folder / name)) as file:
            assert sum(1 for _ in file.decode(video=0)) == FRAMES
    assert len(store.load_track(folder / "t.a3d").motion) == FRAMES


def test_a_track_drives_the_avatar_with_sound(capsys, folder: Path, avatar: Path) -> None:
    run(capsys, "track", folder / "clip.mp4", "-o", folder / "d.a3d", "--identity", avatar)
    arguments = ("--motion", folder / "d.a3d", "--audio", folder / "clip.mp4", "--size", 96)
    result = run(capsys, "render", avatar, *arguments, "-o", folder / "driven.mp4")
    assert result["frames"] == FRAMES
    with av.open(str(folder / "driven.mp4")) as file:
        assert len(file.streams.audio) == 1


def test_an_interrupted_fit_goes_on_where_it_stopped(capsys, folder: Path, monkeypatch) -> None:
    """Ctrl-C keeps the checkpoint, and the same command finishes the work and removes it."""
    from avatar3d.cli.console import Console

    preset = folder / "stops.toml"
    preset.write_text((folder / "tiny.toml").read_text() + "checkpoint_every = 3\n")
    given = ["fit", str(folder / "clip.mp4"), "-o", str(folder / "b.a3d"), "--preset", str(preset), "--quiet"]
    steps: list[int] = []

    def stop(self, stage: str, done: int, total: int, note: str = "") -> None:
        if stage == "fit":
            steps.append(done)
            if done == 7:
                raise KeyboardInterrupt

    monkeypatch.setattr(Console, "progress", stop)
    assert main(given) == 130
    assert "interrupted" in capsys.readouterr().err
    assert not (folder / "b.a3d").exists() and list(folder.glob("b*checkpoint*"))
    stale = (folder / "b.fit-checkpoint").read_bytes()
    monkeypatch.setattr(Console, "progress", lambda *_: None)
    (folder / "other.toml").write_text(preset.read_text().replace("steps = 12", "steps = 2"))
    # Another request starts anew by itself, instead of asking for a file to be deleted.
    assert main([*given[:-2], str(folder / "other.toml"), "--quiet"]) == 0
    (folder / "b.a3d").unlink()
    (folder / "b.fit-checkpoint").write_bytes(stale)
    steps.clear()
    monkeypatch.setattr(
        Console, "progress", lambda self, stage, done, *_: steps.append(done) if stage == "fit" else None
    )
    assert main(given) == 0
    assert steps[0] == 7 and (folder / "b.a3d").exists() and not list(folder.glob("b*checkpoint*"))
