"""Training frames and their batches."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avatar3d.core import AvatarError, Camera, Clip, Motion, Pose, Track
from avatar3d.fit.views import batch, draw, load, split
from avatar3d.geometry import pinhole


def clip_and_track(t=10, h=6, w=8, missing=()):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (t, h, w, 3), dtype=np.uint8)
    masks = rng.integers(0, 256, (t, h, w), dtype=np.uint8)
    clip = Clip(Path("x.mp4"), w, h, 25.0, frames, masks)
    quality = torch.ones(t)
    quality[list(missing)] = 0
    pose = Pose(torch.arange(t)[:, None] / t * torch.ones(1, 2), torch.zeros(t, 2, 3), torch.eye(4).expand(t, 4, 4))
    motion = Motion(pose, 25.0, ("a", "b"))
    return clip, Track("ball", torch.zeros(1), motion, Camera(torch.eye(4), pinhole(w, h, 10.0), w, h), quality)


def test_held_out_and_missing_frames_are_not_read():
    clip, track = clip_and_track(missing=(2,))
    views = load(clip, track, hold_out=0.2)
    assert views.index.tolist() == [0, 1, 3, 4, 5, 6, 7]
    assert (views.images.numpy() == clip.frames[views.index.numpy()]).all()
    assert torch.equal(views.pose.expression, track.motion.pose.expression[views.index])


def test_long_clips_are_thinned_evenly():
    clip, track = clip_and_track(t=101)
    assert load(clip, track, limit=5).index.tolist() == [0, 25, 50, 75, 100]


def test_split_is_the_first_four_fifths():
    assert split(216, 0.2) == 173 and split(1, 0.2) == 1 and split(10, 0.0) == 10


def test_wrong_tracks_are_refused():
    clip, track = clip_and_track()
    short, _ = clip_and_track(t=9)
    with pytest.raises(AvatarError, match="10 frames"):
        load(short, track)
    clip, track = clip_and_track(missing=range(10))
    with pytest.raises(AvatarError, match="no frame"):
        load(clip, track)


def test_a_batch_is_composited_by_the_matte():
    clip, track = clip_and_track()
    views = load(clip, track)
    colour = torch.tensor([[1.0, 0.0, 0.5]])
    made = batch(views, torch.tensor([3]), colour)
    a = clip.masks[3][..., None] / 255.0
    truth = clip.frames[3] / 255.0 * a + np.array([1.0, 0.0, 0.5]) * (1 - a)
    assert np.allclose(made.target[0].numpy(), truth, atol=1e-6)


def test_half_resolution_averages_and_its_camera_agrees():
    clip, track = clip_and_track()
    views = load(clip, track)
    whole, half = (batch(views, torch.tensor([1]), torch.ones(1, 3), shrink=x) for x in (1, 2))
    assert half.target.shape == (1, 3, 4, 3)
    assert torch.allclose(half.target[0, 0, 0], whole.target[0, :2, :2].mean((0, 1)), atol=1e-6)
    point = torch.tensor([0.1, 0.2, 1.0])
    assert torch.allclose((half.camera.K[0] @ point)[:2] * 2, (whole.camera.K[0] @ point)[:2])


def test_every_epoch_shows_every_view_once_and_drawing_has_no_memory():
    rows = torch.cat([draw(step, 3, 12, seed=4)[0] for step in range(4)])
    assert sorted(rows.tolist()) == list(range(12))
    again = draw(2, 3, 12, seed=4)
    assert torch.equal(again[0], rows[6:9]) and torch.equal(again[1], draw(2, 3, 12, seed=4)[1])
    assert not torch.equal(draw(4, 3, 12, seed=4)[0], rows[:3]) or not torch.equal(draw(5, 3, 12, 4)[0], rows[3:6])
