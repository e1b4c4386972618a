"""The demo's page and pictures, on an avatar without a person; the real portrait is the demo itself."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from avatar3d import pipeline
from avatar3d.core import AvatarError, Camera, Clip, Track
from avatar3d.demo import demo, page, pictures, portrait
from avatar3d.render.path import neutral


class Pictures(list):
    """A list is the simplest `Frames`."""


def made_from(doll, frames: int) -> pipeline.Made:
    """What `make` would return for a clip of a grey wall."""
    from avatar3d import heads

    pose = neutral(heads.load("anny"), frames)
    pose.root[:, 2, 3] = -0.8
    known = doll.about["camera"]
    camera = Camera(torch.tensor(known["w2c"]), torch.tensor(known["K"]), known["width"], known["height"])
    motion = pipeline.replace(doll.motion, pose=pose)
    image = np.full((256, 256, 3), 128, np.uint8)
    clip = Clip(Path("me & you.mp4"), 256, 256, 25.0, Pictures([image] * frames), Pictures([image[..., 0]] * frames))
    return pipeline.Made(doll, clip, Track("anny", doll.identity, motion, camera, torch.ones(frames)))


class Links(HTMLParser):
    """Collects what a page refers to, and checks that tags close."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href") and value]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_demo_writes_a_page_and_everything_it_shows(doll, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "me & you.mp4").write_text("")
    monkeypatch.setattr(pipeline, "make", lambda source, *_, **__: made_from(doll, 1 if "astro" in str(source) else 5))
    monkeypatch.setattr(pipeline, "retrack", lambda avatar, clip, *_: made_from(doll, len(clip)).track)
    scored = pipeline.FitScore(27.5, 0.9, None, {"psnr": 26.0}, {"psnr": 25.0}, 2, {"fit": 1.0})
    monkeypatch.setattr(pipeline, "score_tracked", lambda *_, **__: scored)
    result = demo(tmp_path / "demo", tmp_path / "me & you.mp4")
    text = (tmp_path / "demo" / "index.html").read_text()
    links = Links()
    links.feed(text)
    assert not links.open
    for link in links.links:
        assert (tmp_path / "demo" / link).stat().st_size > 1000, link
    assert {Path(link).suffix for link in links.links} == {".a3d", ".mp4", ".png"}
    assert "27.5 dB" in text and "me &amp; you.mp4" in text and not re.search(r"https?://", text)
    assert [head["name"] for head in result["heads"]] == ["portrait", "clip"]
    with Image.open(tmp_path / "demo" / "portrait_side.png") as side:
        assert side.size == (512, 256)


def test_the_strip_shows_every_pose_and_title(doll) -> None:
    sheet = pictures.strip(doll, made_from(doll, 1).clip)
    rows, columns = 2, 6
    assert sheet.shape == (rows * 278, columns * 256, 3)
    cells = [sheet[y * 278 : y * 278 + 256, x * 256 : (x + 1) * 256] for y in range(rows) for x in range(columns)]
    assert len(cells) == 1 + len(pictures.STRIP) and (cells[0] == 128).all()
    for cell, (title, _, _) in zip(cells[2:], pictures.STRIP[1:], strict=True):
        assert (cell != cells[1]).mean() > 1e-4, f"'{title}' looks like the head at rest"


def test_wrong_places_are_said_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(AvatarError, match="is a file"):
        demo(tmp_path / "file")
    with pytest.raises(AvatarError, match="no such file"):
        demo(tmp_path / "demo", tmp_path / "missing.mp4")


def test_figures_that_are_missing_are_left_out() -> None:
    assert page._figures({"psnr": 26.04, "ssim": None, "lpips": 0.1234}) == "PSNR 26.0 dB, LPIPS 0.123"
    assert page._figures({"psnr": None}) == "no face found"


def test_the_portrait_is_the_public_domain_one() -> None:
    pytest.importorskip("skimage")
    with Image.open(portrait()) as image:
        assert image.size == (512, 512)
