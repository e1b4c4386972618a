"""Cameras from files: what other programs write is read, and what cannot be used is refused in one line."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from avatar3d.capture import cameras, multiview
from avatar3d.capture.calibrations import sized
from avatar3d.core import AvatarError
from avatar3d.geometry import look_at

SIZE = (96, 80)
GL = np.diag([1.0, -1.0, -1.0, 1.0])
ALL = multiview.Asked(None, False, 0, None)


def stand(yaw: float) -> np.ndarray:
    """Returns w2c of a camera 0.8 away that looks at the origin."""
    where = torch.tensor([0.8 * np.sin(yaw), 0.1, 0.8 * np.cos(yaw)], dtype=torch.float64)
    return look_at(where, torch.zeros(3, dtype=torch.float64)).numpy()


def photograph(path: Path, size: tuple[int, int] = SIZE, value: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 60, 30)).save(path)


def frame(yaw: float, name: str, **more) -> dict:
    return {"transform_matrix": (np.linalg.inv(stand(yaw)) @ GL).tolist(), "file_path": name, **more}


def vhap(folder: Path) -> Path:
    """Writes a capture as VHAP exports it: two moments, two cameras, intrinsics in every frame."""
    lists: dict[str, list] = {"train": [], "val": [], "test": []}
    for step in range(2):
        for camera in range(2):
            name = f"{step:05d}_{camera:02d}.png"
            photograph(folder / "images" / name)
            photograph(folder / "fg_masks" / name)
            lens = {"fl_x": 200.0 + camera, "fl_y": 201.0, "cx": 47.0, "cy": 41.0, "w": SIZE[0], "h": SIZE[1]}
            row = frame(0.4 * camera, f"images/{name}", fg_mask_path=f"fg_masks/{name}", **lens)
            row |= {"timestep_index": 10 + step, "camera_index": camera, "camera_id": f"2220{camera}"}
            lists["train" if step == 0 and camera == 0 else "val" if step == 0 else "test"].append(row)
    for name, rows in lists.items():
        (folder / f"transforms_{name}.json").write_text(json.dumps({"frames": rows, "cx": 1.0, "camera_indices": [0]}))
    (folder / "transforms.json").write_text(json.dumps({"frames": [row for rows in lists.values() for row in rows]}))
    return folder


def test_a_vhap_export_gives_moments_cameras_and_what_to_score_on(tmp_path: Path) -> None:
    shots = multiview.open_shots(cameras.find(vhap(tmp_path)), ALL)  # type: ignore[arg-type]
    assert [(s.step, s.camera, s.held) for s in shots] == [
        (0, "0", False),
        (0, "1", True),
        (1, "0", True),
        (1, "1", True),
    ]
    np.testing.assert_allclose(shots[1].w2c, stand(0.4), atol=1e-12)
    np.testing.assert_allclose(shots[1].lens.K, [[201, 0, 47], [0, 201, 41], [0, 0, 1]])
    assert shots[0].mask == tmp_path / "fg_masks" / "00000_00.png"


def test_a_nerf_scene_is_one_moment_with_a_field_of_view(tmp_path: Path) -> None:
    for i in range(3):
        photograph(tmp_path / "train" / f"r_{i}.png")
    rows = [frame(0.2 * i, f"./train/r_{i}") for i in range(3)]
    (tmp_path / "transforms.json").write_text(json.dumps({"camera_angle_x": 0.5, "frames": rows}))
    shots = multiview.open_shots(tmp_path / "transforms.json", ALL)
    assert [s.step for s in shots] == [0, 0, 0] and len({s.camera for s in shots}) == 3
    np.testing.assert_allclose(shots[0].lens.K[0], [48 / np.tan(0.25), 0, 48])


@pytest.mark.parametrize(
    ("lens", "focal"),
    [("PINHOLE 96 80 210 211 48 40", (210, 211)), ("SIMPLE_PINHOLE 96 80 205 48 40", (205, 205))],
)
def test_colmap_text_is_read(tmp_path: Path, lens: str, focal: tuple) -> None:
    from scipy.spatial.transform import Rotation

    lines = ["# Image list with two lines of data per image:"]
    for i, name in enumerate(["a.png", "b c.png"]):
        photograph(tmp_path / "images" / name)
        w2c = stand(0.3 * i)
        x, y, z, w = Rotation.from_matrix(w2c[:3, :3]).as_quat()
        place = " ".join(map(str, [w, x, y, z, *w2c[:3, 3]]))
        lines += [f"{i + 1} {place} 1 {name}", "" if i else "10 20 -1 30 40 7"]
    sparse = tmp_path / "sparse" / "0"
    sparse.mkdir(parents=True)
    (sparse / "images.txt").write_text("\n".join(lines) + "\n")
    (sparse / "cameras.txt").write_text(f"# Camera list\n1 {lens}\n")
    found = cameras.find(tmp_path)
    assert found is not None
    shots = multiview.open_shots(found, ALL)
    assert [s.image.name for s in shots] == ["a.png", "b c.png"] and {s.step for s in shots} == {0}
    np.testing.assert_allclose(shots[1].w2c, stand(0.3), atol=1e-9)
    assert (shots[0].lens.fx, shots[0].lens.fy, shots[0].lens.cx) == (*focal, 48)


def test_opencv_yml_is_read_and_its_pixel_centres_moved(tmp_path: Path) -> None:
    for step in (3, 7):
        for name in ("left", "right"):
            photograph(tmp_path / "images" / name / f"{step:06d}.png")
    file = cv2.FileStorage(str(tmp_path / "cameras.yml"), cv2.FILE_STORAGE_WRITE)
    for i, name in enumerate(("left", "right")):
        w2c = stand(0.3 * i)
        file.write(f"K_{name}", np.array([[200.0, 0, 47.5], [0, 202.0, 39.5], [0, 0, 1]]))
        file.write(f"R_{name}", cv2.Rodrigues(w2c[:3, :3])[0])
        file.write(f"T_{name}", w2c[:3, 3:])
        file.write(f"dist_{name}", np.zeros((1, 5)))
    file.release()
    shots = multiview.open_shots(cameras.find(tmp_path), ALL)  # type: ignore[arg-type]
    assert [(s.step, s.camera) for s in shots] == [(0, "left"), (0, "right"), (1, "left"), (1, "right")]
    np.testing.assert_allclose(shots[1].w2c, stand(0.3), atol=1e-9)
    assert (shots[0].lens.cx, shots[0].lens.cy) == (48, 40)


def test_distortion_is_taken_out(tmp_path: Path) -> None:
    """A straight edge that the lens bent is straight again."""
    K, bent = np.array([[120.0, 0, 48], [0, 120.0, 40], [0, 0, 1]]), (-0.6, 0.2, 0.0, 0.0)
    rows, columns = np.mgrid[0:80, 0:96].astype(np.float32)
    shown = cv2.undistortPoints(
        np.stack([columns, rows], -1).reshape(-1, 1, 2), K - [[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]], np.array(bent)
    )
    picture = np.where(shown[:, 0, 0].reshape(80, 96) > 0.3, 255, 0).astype(np.uint8)  # where x / z = 0.3
    Image.fromarray(np.repeat(picture[..., None], 3, -1)).save(tmp_path / "a.png")
    lens = {"fl_x": 120, "fl_y": 120, "cx": 48, "cy": 40, "k1": bent[0], "k2": bent[1]}
    data = {"camera_model": "OPENCV", **lens, "frames": [frame(0.0, "a.png")]}
    (tmp_path / "transforms.json").write_text(json.dumps(data))
    image = multiview.Posed(multiview.open_shots(tmp_path / "transforms.json", ALL), None)[0]
    edge = (image[8:72, :, 0] > 127).argmax(1)
    assert (picture[8:72] > 127).argmax(1).std() > 0.4  # it was bent
    assert np.abs(edge - (48 + 36)).max() <= 1


def test_pictures_shrink_with_their_cameras(tmp_path: Path) -> None:
    frames = multiview.Posed(multiview.open_shots(vhap(tmp_path) / "transforms.json", ALL), 48)
    assert frames.size == (48, 40) and frames[0].shape == (40, 48, 3)
    np.testing.assert_allclose(frames.intrinsics(0)[0], [100, 0, 23.5])


BAD = {
    "missing picture": (lambda row: row.update(file_path="images/none.png"), "none.png is missing"),
    "other size": (lambda row: row.update(w=640), "its camera 640x80"),
    "NaN": (lambda row: row["transform_matrix"][0].__setitem__(0, float("nan")), "NaN or infinity"),
    "not a rotation": (lambda row: row["transform_matrix"][0].__setitem__(0, 5.0), "not a rotation"),
    "no matrix": (lambda row: row.pop("transform_matrix"), "transform_matrix"),
    "wrong shape": (lambda row: row.update(transform_matrix=[[1, 2], [3, 4]]), "expected \\(4, 4\\)"),
    "unknown model": (lambda row: row.update(camera_model="OPENCV_FISHEYE"), "unknown camera model"),
    "traversal": (lambda row: row.update(file_path="../../etc/passwd"), "leads out of the folder"),
    "absolute": (lambda row: row.update(file_path="/etc/passwd"), "leads out of the folder"),
    "mask traversal": (lambda row: row.update(fg_mask_path="a/../../b.png"), "leads out of the folder"),
    "no focal length": (lambda row: row.update(fl_x=0.0, fl_y=0.0), "no focal length"),
    "a word for a number": (lambda row: row.update(fl_x="wide"), "not one"),
    "no path": (lambda row: row.pop("file_path"), "file_path is missing"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_frames_are_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    spoil, said = BAD[kind]
    path = vhap(tmp_path) / "transforms_train.json"
    data = json.loads(path.read_text())
    spoil(data["frames"][0])
    path.write_text(json.dumps(data))
    with pytest.raises(AvatarError, match=said) as error:
        multiview.open_shots(path, ALL)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"frames": 3}', '{"frames": []}', '{"frames": [1]}'])
def test_files_that_are_no_transforms_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "transforms.json").write_text(text)
    with pytest.raises(AvatarError, match=r"transforms\.json"):
        cameras.read(tmp_path / "transforms.json")


@pytest.mark.parametrize(
    ("lens", "said"),
    [
        ("OPENCV_FISHEYE 96 80 1 1 1 1 0 0 0 0", "image_undistorter"),
        ("PINHOLE 96 80 210", "takes width"),
        ("PINHOLE 96 80 nan 210 48 40", "NaN"),
    ],
)
def test_bad_colmap_cameras_are_refused(tmp_path: Path, lens: str, said: str) -> None:
    (tmp_path / "cameras.txt").write_text(f"1 {lens}\n")
    (tmp_path / "images.txt").write_text("1 1 0 0 0 0 0 1 1 a.png\n\n")
    with pytest.raises(AvatarError, match=said):
        cameras.read(tmp_path / "images.txt")


def test_colmap_binaries_say_how_to_convert_them(tmp_path: Path) -> None:
    (tmp_path / "cameras.bin").write_bytes(b"\0")
    with pytest.raises(AvatarError, match="model_converter"):
        cameras.find(tmp_path)


@pytest.mark.parametrize("text", ["nonsense", "%YAML:1.0\n---\na: 1\n", ""])
def test_bad_opencv_files_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "cameras.yml").write_text(text)
    with pytest.raises(AvatarError, match=r"cameras\.yml"):
        cameras.read(tmp_path / "cameras.yml")


def test_pictures_of_several_sizes_are_refused(tmp_path: Path) -> None:
    folder = vhap(tmp_path)
    for name in ("images", "fg_masks"):
        photograph(folder / name / "00001_01.png", (64, 64))
    path = folder / "transforms_test.json"
    data = json.loads(path.read_text())
    data["frames"][1] |= {"w": 64, "h": 64}
    path.write_text(json.dumps(data))
    with pytest.raises(AvatarError, match="several sizes"):
        multiview.open_shots(folder / "transforms.json", ALL)


def test_a_lens_waits_for_the_picture() -> None:
    lens = cameras.Lens(0, 0, 0.0, 0.0, angle=np.pi / 2)
    np.testing.assert_allclose(sized(lens, 100, 60, "x").K, [[50, 0, 50], [0, 50, 30], [0, 0, 1]])
