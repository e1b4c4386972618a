"""The verbs joined for what is no head: from posed pictures to a field, and from field and pictures to a score."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from avatar3d import __version__
from avatar3d.core import Avatar, AvatarError, Clip, Pose
from avatar3d.pipeline import Progress, quiet, stage
from avatar3d.score import FitScore, score_frames
from avatar3d.score.fit import Truth

if TYPE_CHECKING:
    from avatar3d.fit import SceneOptions

HEAD = "scene"
"""The head model of avatars that have none."""
_LANDMARKS = 478


def make_scene(
    source: Path | str,
    options: "SceneOptions | None" = None,
    hold_out: float = 0.0,
    about: dict[str, Any] | None = None,
    checkpoint: Path | None = None,
    progress: Progress = quiet,
) -> Avatar:
    """Returns a static radiance field of a folder of posed pictures, as an avatar without a head.

    Args:
        source: A folder with transforms.json, COLMAP's text files or an OpenCV yml (docs/captures.md).
        options: Settings of the fit.
        hold_out: Share of the cameras to keep back, every n-th; those of transforms_test.json always are.
        about: Facts to store in the avatar.
        checkpoint: File to resume an interrupted fit from and to write on the way; one of another fit is replaced.
        progress: Called while it works.

    Raises:
        AvatarError: Bad input, said in one line.
    """
    from avatar3d.capture import divide, scene, select
    from avatar3d.fit import fit_scene
    from avatar3d.fit.state import StaleCheckpoint

    clip = scene(source, progress=stage(progress, "capture"))
    began = time.perf_counter()
    frames = divide(clip, hold_out).train
    train = clip if len(frames) == len(clip) else select(clip, frames)
    try:
        made = fit_scene(train, options, checkpoint, stage(progress, "fit"))
    except StaleCheckpoint:
        if checkpoint is None:
            raise
        checkpoint.unlink()
        made = fit_scene(train, options, checkpoint, stage(progress, "fit"))
    facts = {
        **made.about,
        "made_with": f"avatar3d {__version__}",
        "source": Path(source).name,
        "frames": len(clip),
        "hold_out": hold_out,
        "seconds": {"fit": round(time.perf_counter() - began, 2)},
        **(about or {}),
    }
    return replace(made, about=facts)


def score_scene(
    avatar: Avatar,
    source: Path | str,
    dump: Path | None = None,
    hold_out: float | None = None,
    progress: Progress = quiet,
) -> FitScore:
    """Returns how well a scene shows the views that it was not fitted to. Cameras are known: nothing is tracked.

    Args:
        avatar: From `make_scene`.
        source: The folder it was fitted to.
        dump: Folder for truth, render and matte of each view as PNG.
        hold_out: Share of the cameras that were kept back; by default the one it was fitted with.
        progress: Called while it works.

    Raises:
        AvatarError: It was fitted to all views, or is of another capture.
    """
    from avatar3d.capture import divide, scene

    if avatar.head != HEAD or "world" not in avatar.about:
        raise AvatarError("score: the avatar is not a scene that was fitted to posed pictures")
    clip = scene(source, progress=stage(progress, "capture"))
    known = avatar.about.get("camera") or {}
    if (known.get("width"), known.get("height")) != (clip.width, clip.height):
        raise AvatarError(f"{source}: {clip.width}x{clip.height} pixels, the scene was fitted to others")
    share = float(avatar.about.get("hold_out", 0.0)) if hold_out is None else hold_out
    held = divide(clip, share).held
    if not held:
        raise AvatarError("score: no held-out views; fit with --hold-out 0.2, or add a transforms_test.json")
    return score_frames(
        _pairs(avatar, clip, held),
        seconds=avatar.about.get("seconds"),
        dump=dump,
        progress=lambda done: progress("score", done, len(held)),
    )


def _pairs(avatar: Avatar, clip: Clip, held: list[int]) -> Iterator[tuple[Truth, np.ndarray]]:
    """Yields truth and render of views, on white where there are masks."""
    from avatar3d.fit.scene_space import moved
    from avatar3d.render import frames

    assert clip.camera is not None
    camera = moved(clip.camera.at(held), torch.tensor(avatar.about["world"]))
    t = len(held)
    pose = Pose(torch.zeros(t, 0), torch.zeros(t, 0, 3), torch.eye(4).expand(t, 4, 4))
    nowhere = np.full((_LANDMARKS, 3), np.nan, np.float32)
    for i, picture in zip(held, frames(avatar, pose, camera), strict=True):
        mask = np.full((clip.height, clip.width), 255, np.uint8) if clip.masks is None else clip.masks[i]
        yield Truth(clip.frames[i], mask, nowhere), picture
