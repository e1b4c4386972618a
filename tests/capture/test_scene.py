import json

import numpy as np
import pytest
from PIL import Image

from avatar3d.capture import CaptureOptions, scene
from avatar3d.core import AvatarError


def folder(path, moments=(0, 0, 0), alpha=True, same=False):
    """Pictures of nothing in particular, from places in a row."""
    frames = []
    for i, moment in enumerate(moments):
        pixels = np.full((70, 80, 4 if alpha else 3), 40 * i, np.uint8)
        if alpha:
            pixels[20:50, 30:60, 3] = 255
        Image.fromarray(pixels).save(path / f"{i}.png")
        pose = np.eye(4)
        pose[0, 3] = 0 if same else i
        row = {"file_path": f"{i}.png", "transform_matrix": pose.tolist(), "camera_index": i}
        frames.append(row | {"timestep_index": moment})
    (path / "transforms.json").write_text(json.dumps({"camera_angle_x": 0.8, "frames": frames}))
    return path


def test_pictures_of_anything_with_their_masks(tmp_path):
    clip = scene(folder(tmp_path), CaptureOptions(size=40))
    assert len(clip) == 3 and clip.landmarks is None and (clip.width, clip.height) == (40, 36)
    assert clip.camera.w2c.shape == (3, 4, 4) and clip.steps.tolist() == [0, 0, 0]
    assert clip.masks[0].max() == 255 and clip.masks[0][0, 0] == 0
    assert clip.frames[2].shape == (36, 40, 3)


def test_without_transparency_there_are_no_masks(tmp_path):
    assert scene(folder(tmp_path, alpha=False)).masks is None


def test_of_several_moments_the_first_is_taken(tmp_path):
    assert len(scene(folder(tmp_path, moments=(0, 0, 3, 3, 3)))) == 2


def test_a_camera_that_went_around_is_one_moment(tmp_path):
    clip = scene(folder(tmp_path, moments=(0, 1, 2)))
    assert len(clip) == 3 and clip.steps.tolist() == [0, 0, 0]


def test_what_is_no_scene(tmp_path):
    with pytest.raises(AvatarError, match="no calibration"):
        scene(tmp_path)
    with pytest.raises(AvatarError, match="shows no depth"):
        scene(folder(tmp_path, moments=(0, 1, 2), same=True))
