"""Pictures and videos as export formats: the avatar's own performance from the front, or a pose from around."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError, Camera, Pose
from avatar3d.export.formats import ExportOptions
from avatar3d.export.skeleton import performance
from avatar3d.export.splats import has_face
from avatar3d.render import frames
from avatar3d.render.path import neutral, orbit_views, swing, view
from avatar3d.render.video import write_png, write_video
from avatar3d.render.webm import write_webm

_SIZE, _FPS, _SECONDS, _SWING = 512, 25.0, 4.0, 35.0


def write_mp4(avatar: Avatar, path: Path, options: ExportOptions) -> Mapping[str, Any]:
    """Writes an H.264 video on white."""
    pose, camera, fps = _shots(avatar, options)
    pictures = _told(frames(avatar, pose, camera), len(pose.root), options)
    return {"frames": write_video(path, pictures, fps), "bytes": path.stat().st_size}


def write_webm_file(avatar: Avatar, path: Path, options: ExportOptions) -> Mapping[str, Any]:
    """Writes a VP9 video with transparency."""
    pose, camera, fps = _shots(avatar, options)
    pictures = _told(frames(avatar, pose, camera, None), len(pose.root), options)
    return {"frames": write_webm(path, pictures, fps), "bytes": path.stat().st_size}


def write_pngs(avatar: Avatar, path: Path, options: ExportOptions) -> Mapping[str, Any]:
    """Writes a folder of transparent pictures `00000.png`, ..., whole or not at all.

    Raises:
        AvatarError: Something is there already.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise AvatarError(f"{path}: is there already; give the name of a new folder for the pictures")
    pose, camera, _ = _shots(avatar, options)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise AvatarError(f"{path}: cannot be made ({error.strerror})") from error
    try:
        for i, picture in enumerate(_told(frames(avatar, pose, camera, None), len(pose.root), options)):
            write_png(folder / f"{i:05d}.png", picture)
        if path.exists():
            path.rmdir()
        os.replace(folder, path)
        os.chmod(path, 0o755)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return {"frames": len(pose.root), "bytes": sum(p.stat().st_size for p in path.iterdir())}


def _shots(avatar: Avatar, options: ExportOptions) -> tuple[Pose, Camera, float]:
    """Returns poses, one camera or one for each, and frames a second."""
    side = (options.size or _SIZE) // 2 * 2
    if options.pose is None and has_face(avatar):
        pose = performance(avatar, options.frames)
        if pose is not None and avatar.motion is not None:
            return pose, view(size=(side, side)), avatar.motion.fps
    pose = options.pose or neutral(heads.load(avatar.head))
    count = options.frames or round(_FPS * _SECONDS)
    camera = orbit_views(swing(_SWING, count), 0.0, (side, side))
    return pose.map(lambda x: x.expand(count, *x.shape)), camera, _FPS


def _told(pictures: Iterator[np.ndarray], count: int, options: ExportOptions) -> Iterator[np.ndarray]:
    """Yields the pictures and tells how far they are."""
    with torch.no_grad():
        for i, picture in enumerate(pictures):
            options.progress("frames", i + 1, count)
            yield picture
