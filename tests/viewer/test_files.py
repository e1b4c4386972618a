"""What goes into the player and out of it: dropped files, recordings, microphone, camera, messages, addresses."""

import gzip
import io
import json
import math
import zipfile
from dataclasses import replace

import av
import numpy as np
import pytest
import torch
from PIL import Image

from avatar3d import motions
from avatar3d.core import Camera
from avatar3d.export import ExportOptions, export, gltf
from avatar3d.export.splats import posed_splats, scene
from avatar3d.ops import splat
from avatar3d.render import render
from avatar3d.render.image import world_splats
from avatar3d.render.path import posed, view

SIZE = (740, 300)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * math.log10(255**2 / max(float(((a.astype(float) - b) ** 2).mean()), 1e-9))


@pytest.fixture(scope="module")
def performance(small):
    """A motion that says something in every frame."""
    motion = small.motion
    pose = motion.pose.map(torch.clone)
    pose.expression[:, motion.names.index("mouthSmileLeft")] = torch.linspace(0.6, 0.1, 6)
    pose.joints[:, :2] = torch.tensor([[0.02, 0.08, 0.01], [0.03, 0.12, 0.015]])
    return replace(motion, pose=pose, fps=60.0)


@pytest.mark.parametrize("name", ["take.csv", "take.json"])
def test_a_dropped_motion_plays(opened, small, performance, tmp_path, name) -> None:
    motions.write(performance, tmp_path / name)
    page = opened(small, "", SIZE)
    page.drop(tmp_path / name)
    page.until("() => player.time !== null && player.duration < 0.2")
    page.call("(t) => player.apply({ play: false, time: t })", 3 / 60)
    values = page.call("() => player.values()")
    expected = performance.pose.expression[3]
    for shape in ("jawOpen", "mouthSmileLeft", "eyeBlinkLeft"):
        assert values[shape] == pytest.approx(float(expected[performance.names.index(shape)]), abs=0.02), shape
    page.page.get_by_role("button", name="Its own").click()
    assert page.call("() => player.duration") == pytest.approx(6 / 25)


@pytest.mark.parametrize("name", ["take.csv", "take.json"])
def test_the_head_of_a_motion_file_turns_as_in_python(opened, small, performance, tmp_path, name) -> None:
    path = tmp_path / name
    motions.write(performance, path)
    page = opened(small, "?ui=0&background=white", (200, 200))
    page.call("([text, name]) => player.loadMotion(text, name)", [path.read_text(), name])
    page.call("() => player.apply({ play: false, time: 2 / 60 })")
    pose = motions.read(path).pose[2]
    truth = render(small, replace(pose, root=torch.eye(4)), view(size=(200, 200)), torch.ones(3)).rgb.clamp(0, 1)
    assert psnr(page.pixels()[..., :3], (truth * 255 + 0.5).byte().numpy()) > 33


@pytest.mark.parametrize("name", ["s.ply", "s.compressed.ply", "s.splat", "s.spz", "s4.spz", "s.sog", "s.glb"])
def test_dropped_splats_are_drawn_upright(opened, small, tmp_path, name) -> None:
    """Any scene of splats: read, turned as its format wants it, drawn as Python draws it."""
    shape = {"jawOpen": 0.5}
    pose = posed("anny", shape)
    if name == "s.glb":  # of a pose: a head's own would be at rest
        still = scene(posed_splats(small, pose), "s")
        export(still, tmp_path / name)
    else:
        export(small, tmp_path / name, options=ExportOptions(pose=pose, version=4 if "4" in name else None))
    page = opened(None, "?background=white&ui=0", (240, 240))
    page.drop(tmp_path / name)
    page.until("() => player.stats.splats > 1000")
    page.call("() => player.apply({ view: 'front' })")
    seen = page.pixels()[..., :3]
    lens = page.call("() => { const v = player.lens(); return [[...v.w2c], v.lens]; }")
    w2c = torch.eye(4)
    w2c[:3] = torch.tensor(lens[0]).reshape(3, 4)
    fx, fy, cx, cy = lens[1]
    if not name.endswith(
        (".spz", ".glb")
    ):  # files with y down are turned by 180 degrees about x; ours were turned likewise
        w2c = w2c @ torch.diag(torch.tensor([1.0, -1, -1, 1]))
    camera = Camera(w2c, torch.tensor([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]), 240, 240)
    plain = world_splats(small, pose)
    if name in ("s.compressed.ply", "s.splat"):  # without harmonics
        plain = replace(plain, sh=plain.sh[:, :1])
    truth = splat.rasterize(plain, camera, torch.ones(3)).rgb.clamp(0, 1)
    assert psnr(seen, (truth * 255 + 0.5).byte().numpy()) > 28


def zipped(files: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return held.getvalue()


def bomb() -> bytes:
    """A zip that says that it holds little, and holds much."""
    data = bytearray(zipped({"meta.json": bytes(50_000_000)}))
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = (1000).to_bytes(4, "little")
    return bytes(data)


def glb_of(top: dict) -> bytes:
    glb = gltf.Glb()
    glb.view(bytes(64))
    glb.top |= top
    data = bytearray(glb.to_bytes())
    return bytes(data)


_SPLATS = {"mode": 0, "attributes": {"POSITION": 0}, "extensions": {"KHR_gaussian_splatting": {}}}
_REACHING = {"meshes": [{"primitives": [{**_SPLATS, "attributes": {"POSITION": 7}}]}]}
_LOOPING = {
    "meshes": [{"primitives": [_SPLATS]}],
    "nodes": [{"mesh": 0, "children": [1]}, {"children": [0]}],
}


def test_wrong_files_are_refused_and_change_nothing(opened, small, tmp_path) -> None:
    page = opened(small, "", SIZE)
    before = page.pixels()
    for whole in ("whole.ply", "whole.sog", "four.spz"):
        export(small, tmp_path / whole, options=ExportOptions(version=4 if "four" in whole else None))
    export(scene(posed_splats(small, posed("anny", {})), "s"), tmp_path / "whole.glb")
    whole = (tmp_path / "whole.ply").read_bytes()
    csv = "Timecode,JawOpen\n00:00:00:01.0,0.1\n00:00:00:02.0,oops\n"
    bad = {
        "cut.ply": (whole[: len(whole) // 2], "ends inside"),
        "mesh.ply": (b"ply\nformat ascii 1.0\nend_header\n", "binary_little_endian"),
        "odd.splat": (b"12345", "multiple of 32"),
        "no.spz": (b"NGSPxxxxxxxxxxxxxxxx", "spz"),
        "huge.ply": (whole.replace(b"vertex 2", b"vertex 99999992", 1), "vertex"),
        "take.csv": (csv.encode(), "line 3"),
        "other.csv": (b"a,b\n1,2\n", "no column"),
        "cut.glb": ((tmp_path / "whole.glb").read_bytes()[:-500], "truncated"),
        "mesh.glb": (glb_of({"meshes": [{"primitives": [{"attributes": {}}]}]}), "without splats"),
        "reach.glb": (glb_of(_REACHING), "POSITION"),
        "loop.glb": (glb_of(_LOOPING), "hang on themselves"),
        "cut.sog": ((tmp_path / "whole.sog").read_bytes()[:-200], "zip"),
        "bomb.sog": (bomb(), "unpack"),
        "other.sog": (zipped({"meta.json": b'{"version": 1}'}), "version 1"),
        "count.sog": (zipped({"meta.json": b'{"version": 2, "count": 1e9}'}), "count"),
        "cut.spz": ((tmp_path / "four.spz").read_bytes()[:-100], "truncated"),
        "noise.spz": ((tmp_path / "four.spz").read_bytes()[:-400] + bytes(range(200)) * 2, "damaged"),
        "bomb.spz": (gzip.compress(bytes(600_000_000), 1), "more than"),
        "what.json": (b"{", "JSON"),
        "page.html": (b"<p>", "no avatar"),
        "note.txt": (b"hello", "no file that"),
    }
    for name, (data, told) in bad.items():
        (tmp_path / name).write_bytes(data)
        page.drop(tmp_path / name)
        page.until("(t) => document.querySelector('.toast').textContent.startsWith(t)", f"{name}:")
        assert told in page.toast()
    assert np.abs(page.pixels().astype(int) - before).max() <= 1
    assert page.call("() => player.names.length") == 57


def test_a_page_opens_another_page_s_avatar(opened, small, pages, tmp_path) -> None:
    page = opened(None, "", SIZE)
    assert page.page.get_by_text("Drop an avatar").is_visible()
    page.drop(pages(small))
    page.until("() => player.names.length === 57")
    assert not page.page.get_by_text("Drop an avatar").is_visible()


def test_pictures_and_clips_are_saved(opened, small) -> None:
    page = opened(small, "?background=none", SIZE)
    with page.page.expect_download() as saved:
        page.page.get_by_role("button", name="Save a picture").click()
    picture = np.asarray(Image.open(io.BytesIO(saved.value.path().read_bytes())))
    assert saved.value.suggested_filename == "doll.png"
    assert picture.shape == (300, 440, 4)
    assert picture[5, 5, 3] == 0 and (picture[..., 3] > 250).mean() > 0.1
    page.call("() => player.apply({ play: true })")
    with page.page.expect_download() as saved:
        page.page.get_by_role("button", name="Record a clip").click()
        page.page.wait_for_timeout(700)
        page.page.get_by_role("button", name="Stop recording").click()
    clip = saved.value.path().read_bytes()
    assert saved.value.suggested_filename == "doll.webm"
    assert clip[:4] == bytes.fromhex("1a45dfa3") and len(clip) > 2000
    with av.open(io.BytesIO(clip)) as video:
        assert sum(1 for _ in video.decode(video=0)) >= 1


def test_a_microphone_moves_the_mouth_and_is_told(opened, small) -> None:
    page = opened(small, "", SIZE)
    page.page.locator("#tab-Live").click()
    assert not page.page.get_by_text("Microphone is on").is_visible()
    page.page.get_by_role("button", name="Use microphone").click()
    page.page.get_by_text("Microphone is on").wait_for()
    page.until("() => player.get('jawOpen') > 0.05")  # the fake device beeps
    page.page.get_by_role("button", name="Stop microphone").click()
    assert page.call("() => player.get('jawOpen')") == 0
    assert not page.page.get_by_text("Microphone is on").is_visible()


def test_a_camera_moves_the_face_by_a_model_of_one_s_own(opened, small, tmp_path) -> None:
    model = tmp_path / "model.mjs"
    model.write_text(
        "export default async (files) => ({ detect: (video) =>"
        " ({ jawOpen: video.videoWidth > 100 ? 0.5 : 0, eyeBlinkLeft: +files.has('model.mjs'), headYaw: 20 }) });"
    )
    page = opened(small, "", SIZE)
    page.page.locator("#tab-Live").click()
    camera = page.page.get_by_role("button", name="Use camera")
    assert camera.is_disabled()  # off, and cannot be switched on without a model
    page.page.get_by_label("Model files").set_input_files(model)
    page.until("() => document.querySelector('.toast').textContent.startsWith('Model loaded')")
    camera.click()
    page.until("() => player.get('jawOpen') > 0.45")
    assert page.page.get_by_text("Camera is on").is_visible()
    values = page.call("() => player.values()")
    assert values["eyeBlinkRight"] > 0.9 and values["eyeBlinkLeft"] == 0  # as in a mirror
    assert values["headYaw"] == pytest.approx(-20, abs=0.5)
    page.page.get_by_role("button", name="Stop camera").click()
    assert page.call("() => player.get('jawOpen')") == 0
    assert page.call("() => document.querySelector('video').srcObject") is None


def test_an_embedding_page_drives_by_messages(opened, small, pages, tmp_path, chromium) -> None:
    page = opened(None, "?ui=0")
    inner = chromium.new_context().new_page()
    outer = tmp_path / "outer.html"
    outer.write_text(
        f"<iframe src='{pages(small).as_uri()}?ui=0' width=200 height=200></iframe><script>window.got = [];"
        "addEventListener('message', (e) => e.data.avatar3d && got.push(e.data.avatar3d));</script>"
    )
    page.page.close()
    inner.goto(outer.as_uri())

    def heard(event: str) -> dict:
        for _ in range(300):
            found = [x for x in inner.evaluate("got") if x["event"] == event]
            if found:
                return found[-1]
            inner.wait_for_timeout(50)
        raise AssertionError(f"no '{event}' among {inner.evaluate('got')}")

    try:
        assert heard("scene")["title"] == "doll"
        send = "(m) => document.querySelector('iframe').contentWindow.postMessage({ avatar3d: m }, '*')"
        inner.evaluate(send, {"set": {"jawOpen": 0.5, "eyeBlink": 1}, "values": True})
        values = heard("values")["values"]
        assert (values["jawOpen"], values["eyeBlinkLeft"], values["eyeBlinkRight"]) == (0.5, 1, 1)
        inner.evaluate(send, {"set": {"jawOpn": 0.5}})
        assert "jawOpn" in heard("error")["message"]
    finally:
        inner.context.close()


def test_an_address_sets_the_scene(opened, small) -> None:
    page = opened(small, "?ui=0&set=jawOpen:0.4,headYaw:15&view=right&background=%23102030&fov=20&speed=0.5")
    values = page.call("() => player.values()")
    assert (values["jawOpen"], values["headYaw"]) == (pytest.approx(0.4), 15)
    assert tuple(page.pixels()[2, 2]) == (16, 32, 48, 255)
    assert not page.page.locator(".panel").is_visible()


def test_a_wrong_address_is_told(opened, small) -> None:
    page = opened(small, "?view=nowhere", SIZE)
    page.until("() => document.querySelector('.toast').textContent.includes('nowhere')")
    assert json.dumps(page.call("() => player.values()"))
