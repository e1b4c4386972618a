"""What the studio does in the background: drive, compare, film, export. Each is a function that `Jobs` runs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avatar3d import geometry, heads, motions, perform, store
from avatar3d.core import Avatar, AvatarError, Camera, Motion, Pose
from avatar3d.drive.retarget import RetargetOptions, rest_of
from avatar3d.drive.stream import SpeechOptions
from avatar3d.pipeline import retrack, stage
from avatar3d.studio.cameras import Keyframe, between
from avatar3d.studio.document import Document
from avatar3d.studio.intake import Brought
from avatar3d.studio.jobs import Jobs
from avatar3d.studio.source import beside

_BLOCK = 8
"""Pictures drawn between two looks at whether the work shall end."""


def opened(path: Path) -> Avatar:
    """Returns the avatar in any file that holds one."""
    from avatar3d.export import import_avatar

    return store.load(path) if path.suffix.lower() == ".a3d" else import_avatar(path)


def drive(document: Document, brought: Brought, jobs: Jobs) -> str:
    """Lets the avatar say or do what a sound, a video or a motion file holds."""
    avatar = document.known()
    if not heads.load(avatar.head).expressions:
        raise AvatarError("what is open has no face to drive; open an avatar")
    played = _played(avatar, brought, jobs)
    gathered: list[Motion] = []
    for block in played.blocks:
        gathered.append(block)
        done = sum(map(len, gathered))
        jobs.progress("motion", done, max(played.frames, done))
    if not gathered:
        raise AvatarError(f"{brought.path.name}: no motion in it")
    document.perform(joined(gathered), played.sound)
    document.run(document.timeline.moved(0).played(True))
    return f"{brought.path.name}: {document.timeline.frames} frames"


def _played(avatar: Avatar, brought: Brought, jobs: Jobs) -> perform.Played:
    options = RetargetOptions()
    if brought.kind == "motion":
        return perform.of_motion(motions.read(brought.path), avatar, options)
    if brought.kind == "video":
        return perform.of_video(brought.path, avatar, options, progress=jobs.progress)
    if brought.kind == "sound":
        from avatar3d.speech.sound import open_sound

        return perform.of_speech(open_sound(brought.path), avatar, SpeechOptions())
    raise AvatarError(f"{brought.path.name}: a {brought.kind} drives nothing; bring sound, a video or a motion file")


def joined(parts: Sequence[Motion]) -> Motion:
    """Returns pieces of a motion as one; soft nodes only where all have them."""
    poses = [part.pose for part in parts]
    soft = None
    if all(pose.soft is not None for pose in poses):
        soft = torch.cat([pose.soft for pose in poses if pose.soft is not None])
    expression, joints, root = (
        torch.cat([getattr(pose, name) for pose in poses]) for name in ("expression", "joints", "root")
    )
    return replace(parts[0], pose=Pose(expression, joints, root, soft))


def compare(document: Document, path: Path, jobs: Jobs) -> str:
    """Puts a clip beside the avatar.

    For the clip that the avatar was fitted to its performance is kept; another one of the person is tracked with the
    avatar's identity, and what they do goes on the timeline.
    """
    from avatar3d.capture import CaptureOptions, capture, divide, select

    avatar = document.known()
    clip = capture(path, CaptureOptions(), progress=stage(jobs.progress, "capture"))
    home = geometry.rigid_inverse(rest_of(avatar).root)
    about = avatar.about
    frames = divide(clip, float(about.get("hold_out", 0.0))).train
    own = about.get("source") == path.name and avatar.motion is not None and about.get("frames") == len(clip)
    train = clip if len(frames) == len(clip) else select(clip, frames)
    if own and avatar.motion is not None and len(avatar.motion) == int(train.steps.max()) + 1:
        cameras = _own_camera(avatar)
        if cameras is not None:
            document.compare(beside(train, cameras, home))
            return f"{path.name}: beside the avatar"
    solved = retrack(avatar, clip, len(clip), jobs.progress)
    document.compare(beside(clip, solved.camera, home), solved.motion)
    return f"{path.name}: tracked with the avatar's identity, and beside it"


def _own_camera(avatar: Avatar) -> Camera | None:
    from avatar3d.studio.scene import remembered

    return remembered(avatar, torch.eye(4))


def film(document: Document, path: Path, shots: "Shots", jobs: Jobs) -> str:
    """Writes an mp4."""
    from avatar3d.render import frames
    from avatar3d.render.video import write_video

    avatar, total = document.known(), len(shots.cameras.w2c)

    def pictures() -> Iterator[np.ndarray]:
        for start in range(0, total, _BLOCK):
            part = slice(start, start + _BLOCK)
            cameras = Camera(shots.cameras.w2c[part], shots.cameras.K[part], shots.cameras.width, shots.cameras.height)
            poses = shots.poses[part]
            for i, image in enumerate(frames(avatar, poses, cameras, shots.background)):
                jobs.progress("film", min(start + i + 1, total), total)
                yield image

    blocks, rate = perform.sound_blocks(shots.sound)
    count = write_video(path, pictures(), shots.fps, blocks, rate)
    return f"{path.name}: {count} frames"


@dataclass(frozen=True)
class Shots:
    """A film that is not made yet."""

    cameras: Camera
    """One for each frame."""
    poses: Pose
    """Batched likewise."""
    fps: float
    background: tuple[float, float, float]
    sound: Any = None


def of_performance(document: Document, camera: Camera, background: tuple[float, float, float]) -> Shots:
    """Returns the film of the timeline's performance through one camera.

    Raises:
        AvatarError: There is no performance.
    """
    with document.lock:
        count, fps = document.timeline.frames, document.timeline.fps
        if not count or not document.performing:
            raise AvatarError("nothing is performed; turn `Perform` on, or bring sound, a video or a motion")
        poses = stacked([document.pose_at(i) for i in range(count)])
        sound = document.sound
    w2c, K = camera.w2c.expand(count, 4, 4), camera.K.expand(count, 3, 3)
    return Shots(Camera(w2c, K, camera.width, camera.height), poses, fps, background, sound)


def of_path(
    document: Document, keyframes: Sequence[Keyframe], size: tuple[int, int], fps: float, background: Any
) -> Shots:
    """Returns the film of a camera path; a performance runs beside it from the first keyframe's frame on.

    Raises:
        AvatarError: Fewer than two keyframes, or a path longer than ten minutes.
    """
    if len(keyframes) < 2:
        raise AvatarError("a film of a camera path needs two keyframes or more: move the camera, set the time, add one")
    length = keyframes[-1].seconds - keyframes[0].seconds
    if not 0 < length <= 600:
        raise AvatarError(f"the camera path takes {length:g} seconds; films are made of up to 600")
    count = max(2, round(length * fps) + 1)
    way = [between(keyframes, keyframes[0].seconds + i / fps) for i in range(count)]
    width, height = (n + n % 2 for n in size)
    cameras = [key.eye.camera(width, height) for key in way]
    K = torch.stack([c.K for c in cameras])
    with document.lock:
        begun, line = keyframes[0].frame, document.timeline
        frames = [(begun + round(i / fps * line.fps)) % max(line.frames, 1) for i in range(count)]
        poses = stacked([document.pose_at(f, key.values) for f, key in zip(frames, way, strict=True)])
    return Shots(Camera(torch.stack([c.w2c for c in cameras]), K, width, height), poses, fps, background)


def stacked(poses: Sequence[Pose]) -> Pose:
    """Returns poses as a batch; soft nodes only where all have them."""
    soft = None
    if poses and all(pose.soft is not None for pose in poses):
        soft = torch.stack([pose.soft for pose in poses if pose.soft is not None])
    expression, joints, root = (
        torch.stack([getattr(pose, name) for pose in poses]) for name in ("expression", "joints", "root")
    )
    return Pose(expression, joints, root, soft)


def export_to(document: Document, folder: Path, name: str, to: str, posed: bool, jobs: Jobs) -> Path:
    """Writes the avatar in another format into a folder and returns the file (a zip where the format is a folder)."""
    import shutil

    from avatar3d.export import FORMATS, ExportOptions, export

    avatar = document.to_save()
    pose = document.pose_at(document.timeline.frame) if posed else None
    options = ExportOptions(pose=pose, progress=jobs.progress)
    suffix = (FORMATS[to].suffixes or ("",))[0]
    path = folder / f"{name}{suffix}"
    export(avatar, path, to, options)
    return Path(shutil.make_archive(str(path), "zip", path)) if path.is_dir() else path


def say(document: Document, words: str, voice: str, jobs: Jobs) -> str:
    """Lets the avatar say words."""
    from avatar3d.speech.espeak import say as spoken

    avatar = document.known()
    jobs.progress("speech", 0, 1)
    sound, phones = spoken(words, voice)
    played = perform.of_speech(sound, avatar, SpeechOptions(), phones)
    document.perform(joined(list(played.blocks)), sound)
    document.run(document.timeline.moved(0).played(True))
    return f"{sound.seconds:.1f} seconds of speech"
