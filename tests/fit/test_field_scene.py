"""Static fields: a coloured ball, photographed by arithmetic."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
from ball_pictures import ball_clip

from avatar3d import heads
from avatar3d.core import AvatarError, Clip, Pose
from avatar3d.fields import FieldSettings, look, pose_field, prepared
from avatar3d.fit import field_scene
from avatar3d.fit.field_scene import SceneOptions, fit_scene, scene_steps
from avatar3d.fit.scene_space import moved, space
from avatar3d.fit.state import StaleCheckpoint

SMALL = FieldSettings(levels=5, features=4, log2_rows=13, base=8, growth=1.5, step=0.008, condition="none")
OPTIONS = SceneOptions(steps=260, rays=800, settings=SMALL)


def seen(avatar, clip: Clip, row: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A view of the scene, over white, and its truth."""
    camera = moved(clip.camera.at([row]), torch.tensor(avatar.about["world"]))
    head = heads.load("scene")
    still = Pose(torch.zeros(0), torch.zeros(0, 3), torch.eye(4))
    posed = pose_field(prepared(avatar.field, head), head, avatar.identity, still)
    shown = look(posed, camera.at(0))
    truth = torch.from_numpy(clip.frames[row].copy()).float() / 255
    if clip.masks is None:
        return shown.rgb, truth
    mask = torch.from_numpy(clip.masks[row].copy()).float()[..., None] / 255
    return shown.rgb + 1 - shown.alpha, truth * mask + 1 - mask


def psnr(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(-10 * (a - b).square().mean().log10())


@pytest.fixture(scope="module")
def fitted():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    clip = ball_clip()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(field_scene, "_FORGETS", 0.5)  # cells are found empty sooner in so short a fit
        avatar = fit_scene(clip, OPTIONS)
    torch.set_num_threads(before)
    return clip, avatar


def test_views_that_were_never_seen(fitted):
    clip, avatar = fitted
    scores = [psnr(*seen(avatar, clip, row)) for row in np.flatnonzero(clip.held)]
    assert len(scores) == 3 and min(scores) > 17
    assert avatar.head == "scene" and avatar.about["fitted"] == 9 and avatar.about["frames"] == 12


def test_empty_cells_change_the_picture_by_less_than_a_thousandth(fitted):
    clip, avatar = fitted
    hull = space(clip.camera.at(np.flatnonzero(~clip.held)), torch.from_numpy(clip.masks.pictures[~clip.held]))
    assert int(avatar.field.occupied.sum()) < int(hull.occupied.sum()) - 500
    everywhere = replace(avatar, field=replace(avatar.field, occupied=hull.occupied))
    for row in np.flatnonzero(clip.held)[:2]:
        skipped, whole = seen(avatar, clip, row)[0], seen(everywhere, clip, row)[0]
        assert float((skipped - whole).abs().mean()) < 1e-3


def test_same_bits_for_any_threads_and_after_a_resume(tmp_path):
    clip, short = ball_clip(8), replace(OPTIONS, steps=24, checkpoint_every=10)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        whole = fit_scene(clip, short)
        torch.set_num_threads(1)
        checkpoint = tmp_path / "x.fit-checkpoint"
        first = list(islice(scene_steps(clip, short, checkpoint), 21))
        assert first[-1].index == 21 and checkpoint.exists()
        again = fit_scene(clip, short, checkpoint)
    finally:
        torch.set_num_threads(before)
    assert not checkpoint.exists()
    assert torch.equal(whole.field.table, again.field.table)
    assert torch.equal(whole.field.occupied, again.field.occupied)
    assert all(torch.equal(a, b) for a, b in zip(whole.field.network, again.field.network, strict=True))
    list(islice(scene_steps(clip, short, checkpoint), 11))
    with pytest.raises(StaleCheckpoint):
        next(scene_steps(clip, replace(short, steps=30), checkpoint))


def test_without_masks_what_is_behind_is_painted():
    clip = ball_clip(8, masked=False)
    first, *_, last = scene_steps(clip, replace(OPTIONS, steps=80, settings=replace(SMALL, step=0.016)))
    assert last.psnr > first.psnr + 2
    shown, _ = seen(last.avatar(), clip, 0)
    assert shown.mean() > 0.1


def test_colours_may_depend_on_the_view():
    settings = replace(SMALL, view=True)
    first, *_, last = scene_steps(ball_clip(6), replace(OPTIONS, steps=20, settings=settings))
    assert last.psnr > first.psnr


def test_what_is_refused():
    with pytest.raises(AvatarError, match="steps is 0"):
        next(scene_steps(ball_clip(4), replace(OPTIONS, steps=0)))
    with pytest.raises(AvatarError, match="no face to listen to"):
        next(scene_steps(ball_clip(4), replace(OPTIONS, settings=FieldSettings())))
    clip = ball_clip(4)
    with pytest.raises(AvatarError, match="1 views to fit to"):
        next(scene_steps(replace(clip, held=np.array([True, True, True, False])), OPTIONS))
