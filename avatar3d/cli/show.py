"""`avatar3d render`: which poses, seen by which camera, written where."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from avatar3d import heads, store
from avatar3d.cli.console import Console
from avatar3d.cli.work import check_output
from avatar3d.core import Avatar, AvatarError, Camera, Motion, Pose

if TYPE_CHECKING:
    from avatar3d.cli.verbs import Render

COLOURS = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "grey": (0.5, 0.5, 0.5),
    "green": (0.0, 0.69, 0.25),
}


def run_render(given: "Render", console: Console) -> dict[str, Any]:
    """Writes the picture or video that the arguments ask for."""
    from avatar3d.render.path import parse_settings, posed

    video = given.output.suffix.lower() == ".mp4"
    check_output(given.output, ".png", ".mp4")
    moving = [name for name in ("orbit", "replay", "motion") if getattr(given, name) not in (None, False)]
    if len(moving) > 1:
        raise AvatarError(f"--{moving[0]} and --{moving[1]} do not go together; give one of them")
    if video and not moving:
        raise AvatarError(f"{given.output}: a video needs --orbit DEGREES, --replay or --motion FILE")
    if moving and not video:
        raise AvatarError(f"{given.output}: --{moving[0]} makes a video; the name must end in .mp4")
    avatar = store.load(given.avatar)
    head = heads.load(avatar.head)
    pose = posed(head, parse_settings(given.set))
    background = _background(given.background, video)
    if not video:
        count, size = _picture(given, avatar, pose, background)
    else:
        count, size = _video(given, avatar, pose, background or (1.0, 1.0, 1.0))
    console.note(f"{given.output}: {count} frame{'s' if count > 1 else ''} of {size[0]}x{size[1]}")
    return {"output": str(given.output), "frames": count, "width": size[0], "height": size[1]}


def _background(name: str | None, video: bool) -> tuple[float, float, float] | None:
    if name is None:
        name = "white" if video else "none"
    if name == "none" and video:
        raise AvatarError("--background none: an mp4 has no transparency; write a .png or choose a colour")
    if name == "none":
        return None
    return COLOURS[name]


def _picture(
    given: "Render", avatar: Avatar, pose: Pose, background: tuple[float, float, float] | None
) -> tuple[int, tuple[int, int]]:
    from avatar3d.render import frames
    from avatar3d.render.path import view
    from avatar3d.render.video import write_png

    camera = view(given.yaw, given.pitch, (given.size, given.size), given.zoom)
    one = pose.map(lambda x: x[None])
    write_png(given.output, next(frames(avatar, one, camera, background)))
    return 1, (camera.width, camera.height)


def _video(
    given: "Render", avatar: Avatar, pose: Pose, background: tuple[float, float, float]
) -> tuple[int, tuple[int, int]]:
    from avatar3d.render import frames
    from avatar3d.render.video import write_video

    if given.orbit is not None:
        poses, camera, fps = *_orbit(given, pose), given.fps
    else:
        motion, camera = _performance(given, avatar)
        poses, fps = motion.pose, motion.fps
        if given.set:  # sliders are added to the performance
            expression = (poses.expression + pose.expression).clamp(0, 1)
            poses = replace(poses, expression=expression, joints=poses.joints + pose.joints)
    audio, rate = _sound(given.audio, poses.expression.shape[0] / fps)
    count = write_video(given.output, frames(avatar, poses, camera, background), fps, audio, rate)
    return count, (camera.width, camera.height)


def _orbit(given: "Render", pose: Pose) -> tuple[Pose, Camera]:
    from avatar3d.render.path import orbit_views, swing

    if not 0 < given.seconds <= 3600 or not 0 < given.fps <= 240:
        raise AvatarError("an orbit needs --seconds in 0 to 3600 and --fps in 0 to 240")
    count = max(1, round(given.seconds * given.fps))
    angles = torch.tensor(given.yaw).deg2rad() + swing(given.orbit or 0.0, count)
    camera = orbit_views(angles, given.pitch, (given.size, given.size), given.zoom)
    return pose.map(lambda x: x.expand(count, *x.shape)), camera


def _performance(given: "Render", avatar: Avatar) -> tuple[Motion, Camera]:
    """Returns what to play and the camera that saw it, at the size asked for."""
    if given.motion is not None:
        return _played(given, avatar)
    if avatar.motion is None:
        raise AvatarError(f"{given.avatar}: holds no performance; give --motion FILE")
    camera = source_camera(avatar)
    return avatar.motion, camera.scaled(given.size / max(camera.width, camera.height))


def _played(given: "Render", avatar: Avatar) -> tuple[Motion, Camera]:
    """Returns the motion of a file, seen by the camera that saw it, or for a file without one by that of the others."""
    from avatar3d import motions
    from avatar3d.render.path import view

    path = Path(given.motion or "")
    motion = motions.read(path)
    if path.suffix.lower() != ".a3d":
        return motion, view(given.yaw, given.pitch, (given.size, given.size), given.zoom)
    if store.kind_of(path) == "avatar":
        camera = source_camera(store.load(path))
    else:
        track = store.load_track(path)
        camera = track.camera.at(0)
        if track.head != avatar.head:
            raise AvatarError(f"{path}: tracked on head '{track.head}', the avatar has '{avatar.head}'")
    return motion, camera.scaled(given.size / max(camera.width, camera.height))


def source_camera(avatar: Avatar) -> Camera:
    """Returns the camera that saw the clip the avatar was fitted to.

    Raises:
        AvatarError: The avatar does not carry one.
    """
    try:
        known = avatar.about["camera"]
        K, w2c = torch.tensor(known["K"]).reshape(3, 3), torch.tensor(known["w2c"]).reshape(4, 4)
        return Camera(w2c.float(), K.float(), int(known["width"]), int(known["height"]))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise AvatarError("the avatar does not carry the camera of its clip; fit it again") from error


def _sound(path: Path | None, seconds: float) -> tuple[np.ndarray | None, int]:
    if path is None:
        return None, 0
    from avatar3d.capture.video import read_audio

    audio, rate = read_audio(path, 0.0, seconds, lambda shape: np.zeros(shape, np.float32))
    if audio is None:
        raise AvatarError(f"{path}: holds no sound; leave --audio out")
    return audio, rate
