"""A live avatar, with files in the place of microphone and camera."""

import http.client
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from avatar3d.core import AvatarError
from avatar3d.drive.stream import SpeechOptions
from avatar3d.live import LiveOptions, live, opened
from avatar3d.live.page import Page
from avatar3d.live.sources import BLOCK, Piece, sound_file
from avatar3d.perform import front
from avatar3d.render.video import write_video


@pytest.fixture
def speech_file(tmp_path: Path) -> Path:
    """A buzz that comes and goes, as a film with sound; 1.5 s."""
    t = np.arange(24000) / 16000
    buzz = 0.2 * np.sin(2 * np.pi * 150 * t) * (np.sin(2 * np.pi * 4 * t) > 0)
    write_video(tmp_path / "a.mp4", [np.zeros((64, 64, 3), np.uint8)] * 37, 25.0, buzz[None].astype(np.float32), 16000)
    return tmp_path / "a.mp4"


def get(address: str, path: str, host: str | None = None) -> tuple[int, bytes]:
    where = address.removeprefix("http://").rstrip("/")
    connection = http.client.HTTPConnection(where, timeout=10)
    connection.request("GET", path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read(400_000) if path != "/stream.mjpg" else answer.read(200)


def test_sound_drives_a_page_and_the_delay_is_measured(doll, speech_file: Path) -> None:
    found: dict = {}

    def look(address: str) -> None:
        def later() -> None:
            found["page"] = get(address, "/")
            found["stream"] = get(address, "/stream.mjpg")
            found["stats"] = get(address, "/stats.json")

        thread = threading.Thread(target=later)
        found["thread"] = thread
        thread.start()

    options = LiveOptions(port=0, speech=SpeechOptions(fps=20.0))
    figures = live(doll, front(64, 0.0, 0.0, 1.0), sound_file(speech_file), "sound", options, look)
    found["thread"].join(10)
    assert found["page"][0] == 200 and b"stream.mjpg" in found["page"][1]
    assert found["stream"][0] == 200 and b"image/jpeg" in found["stream"][1] and b"\xff\xd8" in found["stream"][1]
    assert figures["frames"] > 3 and set(figures["stages_ms"]) == {"waiting", "listening", "render", "encode"}
    assert 120 <= figures["algorithmic_ms"] <= 260
    assert figures["latency_ms"] >= figures["algorithmic_ms"] - 1000 * BLOCK - 34


def test_time_is_up_when_it_is(doll) -> None:
    def silence():
        while True:
            time.sleep(BLOCK / 2)
            yield Piece(np.zeros(320, np.float32), time.monotonic())

    start = time.monotonic()
    live(doll, front(32, 0.0, 0.0, 1.0), silence(), "sound", LiveOptions(port=0, seconds=0.5))
    assert time.monotonic() - start > 0.4


def test_only_this_machine_is_answered() -> None:
    with Page(0, dict) as page:
        assert get(page.address, "/", host="evil.example:80")[0] == 403
        assert get(page.address, "/else")[0] == 404
        port = int(page.address.rstrip("/").rpartition(":")[2])
        with pytest.raises(AvatarError, match="cannot be used"):
            Page(port, dict)


def test_what_is_missing_is_said(doll, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AvatarError, match="mic, camera, or"):
        opened("nothing.wav")
    (tmp_path / "x.wav").write_text("no sound")
    pieces, kind = opened(str(tmp_path / "x.wav"))
    with pytest.raises(AvatarError, match="not a sound"):
        live(doll, front(32, 0.0, 0.0, 1.0), pieces, kind, LiveOptions(port=0))
    monkeypatch.setitem(__import__("sys").modules, "sounddevice", None)
    pieces, kind = opened("mic")
    assert kind == "sound"
    with pytest.raises(AvatarError, match="pip install"):
        next(pieces)


def test_a_camera_that_is_not_there(tmp_path: Path) -> None:
    pieces, kind = opened("camera")
    assert kind == "pictures"
    with pytest.raises(AvatarError, match="no camera"):
        next(pieces)


def test_a_face_in_a_film_drives(doll, tmp_path: Path) -> None:
    """The astronaut's portrait, nodding sideways a little: poses come out, and turns with it."""
    from skimage import data

    from avatar3d.live.faces import CameraFace

    portrait = data.astronaut()[:320, 60:380]
    face = CameraFace()
    first, moved = face(portrait), face(np.roll(portrait, 3, 1))
    assert first is not None and moved is not None and len(first) == 1
    assert first.pose.expression.max() <= 1 and first.pose.joints.abs().max() < 1.0
    assert face(np.zeros_like(portrait)) is None
