"""Synthetic captures: their parts agree with each other, and come out the same each time."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from avatar3d.capture import cameras
from avatar3d.capture.synthetic import SyntheticOptions, files, performance, stage, subjects, synthetic
from avatar3d.core import AvatarError
from avatar3d.heads import ARKIT

SMALL = SyntheticOptions(views=4, motion="random:10:3", seed=2, size=96)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic") / "capture"
    synthetic("anny", folder, SMALL)
    return folder


def digest(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_it_comes_out_the_same_again(made: Path, tmp_path: Path) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        synthetic("anny", tmp_path / "again", SMALL)
    finally:
        torch.set_num_threads(threads)
    assert digest(tmp_path / "again") == digest(made)


def test_its_cameras_are_read_as_they_stood(made: Path) -> None:
    shots = cameras.read(made / "transforms.json")
    placed = stage.ring(4, None, SMALL.elevation, 96)
    assert len(shots) == 50 and sum(s.held for s in shots) == 10
    for shot, truth in zip(shots[:5], placed, strict=True):
        np.testing.assert_allclose(shot.w2c, truth.camera.w2c, atol=1e-6)
        np.testing.assert_allclose(shot.lens.K, truth.camera.K, atol=1e-4)


def test_landmarks_lie_on_the_mask_at_the_depth_that_is_written(made: Path) -> None:
    marks = np.load(made / "landmarks.npz")
    rows = json.loads((made / "transforms.json").read_text())["frames"]
    seen = 0
    for row, pixels, visible in zip(rows, marks["pixels"], marks["visible"], strict=True):
        mask = np.asarray(Image.open(made / row["fg_mask_path"]))
        depth = np.asarray(Image.open(made / row["depth_path"])) * 1e-4
        w2c = np.diag([1, -1, -1, 1]) @ np.linalg.inv(np.array(row["transform_matrix"]))
        world = marks["world"][row["timestep_index"]][visible]
        x, y = pixels[visible].astype(int).T
        assert (mask[y, x] > 127).all()
        z = (world @ w2c[:3, :3].T + w2c[:3, 3])[:, 2]
        np.testing.assert_allclose(depth[y, x], z, atol=5e-3)
        seen += visible.sum()
    assert seen > 4000  # the frontal camera sees most of them in each of ten time steps


def test_colours_at_the_edge_are_the_subjects_own(made: Path) -> None:
    """Composited by its mask, a picture shows nothing of the background it was stored on."""
    image = np.asarray(Image.open(made / "images/00000_00.png")).astype(int)
    mask = np.asarray(Image.open(made / "fg_masks/00000_00.png"))
    edge = (mask > 0) & (mask < 255)
    assert edge.sum() > 50
    red = image[..., 0] - image[..., 2]  # skin and lips are warm, the background is cool
    assert red[mask == 0].max() < 0 and (red[edge] > 0).mean() > 0.9


def test_what_was_performed_can_be_performed_again(made: Path) -> None:
    truth = performance.load(str(made / "truth.json"))
    drawn = performance.random(10, 3)
    np.testing.assert_allclose(truth.weights, drawn.weights, atol=1e-12)
    np.testing.assert_allclose(truth.turns, drawn.turns, atol=1e-12)
    assert drawn.weights.max() <= 1 and drawn.weights.min() >= 0 and not drawn.weights[0].any()


def test_each_expression_is_shown_alone_once() -> None:
    shown = performance.load("each:4:3")
    again, other = performance.each(4, 3), performance.each(4, 4)
    assert (shown.weights == again.weights).all() and (shown.weights != other.weights).any()
    parts = shown.weights.reshape(-1, 4, 52)
    top = parts.max(1)
    names = [{ARKIT[i] for i in row.nonzero()[0]} for row in top]
    assert {"mouthSmileLeft", "mouthSmileRight"} in names and {"eyeLookInLeft", "eyeLookOutRight"} in names
    assert {"jawOpen"} in names and {"jawOpen", "mouthClose"} in names and {"jawLeft"} in names
    assert set().union(*names) == set(ARKIT) - {"tongueOut"} and sum(map(len, names)) == 52
    np.testing.assert_allclose(parts[:, 1], top, atol=1e-12)  # up and down again
    assert (parts[:, 0] < top + (top == 0)).all()


def test_an_arc_stands_in_front_and_is_scored_from_the_sides() -> None:
    placed = stage.ring(5, 15.0, 0.0, 64)
    yaw = [np.degrees(np.arctan2(*(p.camera.position.numpy() - stage._TARGET)[[0, 2]])) for p in placed]
    np.testing.assert_allclose(yaw, [-15, -7.5, 0, 7.5, 15, -60, -45, 45, 60], atol=1e-3)
    assert [p.held for p in placed] == [False] * 5 + [True] * 4


def test_cameras_can_be_given(made: Path, tmp_path: Path) -> None:
    synthetic("anny", tmp_path / "b", SyntheticOptions(cameras=made / "transforms.json", size=96, seed=2))
    rest = {name: d for name, d in digest(tmp_path / "b").items() if name.startswith("images/00000")}
    assert rest == {name: d for name, d in digest(made).items() if name.startswith("images/00000")}


def test_csv_names_match_whatever_their_spelling(tmp_path: Path) -> None:
    path = tmp_path / "live.csv"
    path.write_text("Timecode,JawOpen,eyeBlink_L,HeadYaw,extra\n00:01,0.5,1.5,0.2,x\n00:02,0,0,0,y\n")
    found = performance.load(str(path))
    assert found.weights[0, ARKIT.index("jawOpen")] == 0.5 and found.weights[0, ARKIT.index("eyeBlinkLeft")] == 1
    np.testing.assert_allclose(found.turns, [[0, -0.2, 0], [0, 0, 0]], atol=1e-9)  # the app's yaw is to the right


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.json", '{"names": ["jawOpen"], "frames": [{"weights": [1, 2]}]}'),
        ("b.json", '{"names": ["nose"], "frames": [[1]]}'),
        ("c.json", '{"names": ["jawOpen"], "frames": [[NaN]]}'),
        ("d.csv", "jawOpen\nwide\n"),
        ("e.csv", ""),
        ("f.txt", "x"),
    ],
)
def test_bad_motions_are_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(AvatarError, match=name):
        performance.load(str(tmp_path / name))


def test_other_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(AvatarError, match="no synthetic capture"):
        synthetic("anny", tmp_path, SMALL)
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    "wrong", [{"views": 0}, {"size": 10}, {"arc": 200.0}, {"motion": "random:0"}, {"motion": "each:1"}]
)
def test_settings_out_of_range_are_refused(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(AvatarError):
        synthetic("anny", tmp_path / "x", SyntheticOptions(**wrong))
    assert not (tmp_path / "x").exists()


def test_an_obj_with_a_texture_is_photographed(tmp_path: Path) -> None:
    Image.new("RGB", (4, 4), (250, 10, 10)).save(tmp_path / "skin.png")
    (tmp_path / "a.mtl").write_text("newmtl m\nmap_Kd skin.png\n")
    quad = "mtllib a.mtl\nv -10 -15 0\nv 10 -15 0\nv 10 15 0\nv -10 15 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\n"
    (tmp_path / "a.obj").write_text(quad + "f 1/1 2/2 3/3 4/4\n")
    subject = subjects.load(str(tmp_path / "a.obj"))
    vertices = subject.posed(np.zeros(52), np.zeros(3))
    assert float(vertices[:, 1].max()) == pytest.approx(0.15)  # it was in centimetres
    seen = stage.see(subject, vertices, stage.ring(1, 0.0, 0.0, 64)[0].camera, 1)
    assert seen.cover.mean() > 0.2 and seen.colour[seen.cover > 0.5].mean(0)[0] > 0.95


def test_a_glb_with_a_moved_node_is_read(tmp_path: Path) -> None:
    import struct

    points, index = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0]], "<f4"), np.array([0, 1, 2, 0], "<u2")
    scene = {
        "asset": {"version": "2.0"},
        "scenes": [{"nodes": [0]}],
        "nodes": [{"children": [1], "scale": [2, 2, 2]}, {"mesh": 0, "translation": [1, 0, 0]}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [{"buffer": 0, "byteLength": 36}, {"buffer": 0, "byteOffset": 36, "byteLength": 6}],
        "buffers": [{"byteLength": 44}],
    }
    text = json.dumps(scene).encode()
    text += b" " * (-len(text) % 4)
    data = points.tobytes() + index.tobytes()
    head = struct.pack("<4sIII4s", b"glTF", 2, 28 + len(text) + len(data), len(text), b"JSON")
    path = tmp_path / "a.glb"
    path.write_bytes(head + text + struct.pack("<I4s", len(data), b"BIN\0") + data)
    np.testing.assert_allclose(files.read(path).points, [[2, 0, 0], [4, 0, 0], [2, 2, 0]])
    path.write_bytes(head + text)
    with pytest.raises(AvatarError, match=r"a\.glb"):
        files.read(path)


@pytest.mark.parametrize("text", ["", "v 0 0 0\n", "v 0 0\nf 1 2 3\n", "v a b c\n", "v 0 0 0\nf 1 2 9\n"])
def test_bad_meshes_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "bad.obj").write_text(text)
    with pytest.raises(AvatarError, match=r"bad\.obj"):
        files.read(tmp_path / "bad.obj")


@pytest.mark.parametrize("mesh", ["lps", "facecap", "ict"])
def test_scans_stand_like_the_default_head(shared_data: Path, monkeypatch, mesh: str) -> None:
    monkeypatch.setenv("AVATAR3D_DATA", str(shared_data))
    subject = subjects.load(mesh, 1 if mesh == "ict" else None)
    rest = subject.posed(np.zeros(52), np.zeros(3))
    nose = rest[(rest[:, 0].abs() < 0.01) & (rest[:, 1].abs() < 0.06)]
    assert 0.01 < float(nose[:, 2].max()) < 0.07  # the face looks along +z, just before the eyes
    opened = np.zeros(52)
    opened[ARKIT.index("jawOpen")] = 1
    moved = subject.posed(opened, np.zeros(3)) - rest
    if mesh != "lps":
        assert float(moved[:, 1].min()) < -0.01 and "jawOpen" in subject.moves
