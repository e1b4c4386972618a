"""Photos and folders: order, orientation, transparency, and what cannot be read."""

import numpy as np
import pytest
from PIL import Image

from avatar3d.capture.pictures import Mattes, Pictures, has_alpha, is_picture, list_pictures, size_of
from avatar3d.core import AvatarError


def _save(path, values, **options):
    Image.fromarray(values).save(path, **options)
    return path


def test_folder_in_natural_order_and_of_one_size(tmp_path):
    for name in ("frame10.png", "frame2.png", "Frame1.png"):
        _save(tmp_path / name, np.zeros((8, 12, 3), np.uint8))
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._frame3.png").write_text("a file manager's litter")
    assert [p.name for p in list_pictures(tmp_path)] == ["Frame1.png", "frame2.png", "frame10.png"]
    _save(tmp_path / "frame3.png", np.zeros((9, 12, 3), np.uint8))
    with pytest.raises(AvatarError, match=r"frame3\.png"):
        list_pictures(tmp_path)


def test_empty_folder(tmp_path):
    with pytest.raises(AvatarError, match="no pictures"):
        list_pictures(tmp_path)


def test_orientation_flag_is_applied(tmp_path):
    image = np.zeros((40, 60, 3), np.uint8)
    image[:10, :10] = 255  # top left as stored
    exif = Image.Exif()
    exif[0x0112] = 6  # to be shown turned by a quarter with the clock
    path = _save(tmp_path / "phone.jpg", image, exif=exif, quality=95)
    shown = Pictures([path])[0]
    assert size_of(path) == (40, 60) and shown.shape == (60, 40, 3)
    assert shown[:8, -8:].min() > 200 and shown[:8, :8].max() < 60


def test_transparency_over_white_and_as_matte(tmp_path):
    image = np.zeros((4, 6, 4), np.uint8)
    image[:, :3] = (200, 100, 0, 255)
    image[:, 3] = (0, 0, 0, 51)
    path = _save(tmp_path / "cut.png", image)
    shown, matte = Pictures([path])[0], Mattes([path])[0]
    assert (
        tuple(shown[0, 0]) == (200, 100, 0)
        and tuple(shown[0, 5]) == (255, 255, 255)
        and tuple(shown[0, 3]) == (204,) * 3
    )
    assert matte[0].tolist() == [255, 255, 255, 51, 0, 0]
    assert has_alpha(path) and not has_alpha(_save(tmp_path / "plain.png", image[..., :3].copy()))
    assert Mattes([_save(tmp_path / "grey.png", image[..., 0].copy())])[0].max() == 200


def test_deep_and_grey_pictures_become_rgb(tmp_path):
    deep = _save(tmp_path / "deep.png", np.full((4, 4), 51400, np.uint16))
    assert Pictures([deep])[0].tolist() == np.full((4, 4, 3), 200).tolist()
    grey = _save(tmp_path / "grey.png", np.full((4, 4), 77, np.uint8))
    assert Pictures([grey])[0].shape == (4, 4, 3)


def test_what_cannot_be_read(tmp_path):
    text = tmp_path / "text.png"
    text.write_text("no picture")
    assert not is_picture(text)
    with pytest.raises(AvatarError, match="not a picture"):
        Pictures([text])[0]
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    cut = _save(tmp_path / "cut.png", noise)
    cut.write_bytes(cut.read_bytes()[:4000])
    with pytest.raises(AvatarError, match=r"cut\.png.*cut off"):
        Pictures([cut])[0]
