"""How much tracked vertices and rendered pictures tremble: `python -m tools.bench_jitter CLIP AVATAR.a3d`.

On the stillest second and a half of the frames that the avatar was fitted to: the face's vertices as the landmarks
alone place them, as tracking smooths them, and as the fit corrected them (millimetres RMS above 6 Hz); then the
pictures, those of the avatar and the clip's own (grey levels of 255 in the hull of the face).
"""

import sys

import cv2
import numpy as np
import torch

import avatar3d
from avatar3d import heads
from avatar3d.capture import select
from avatar3d.core import Avatar, Motion
from avatar3d.render import frames
from avatar3d.score.jitter import stillest, tremor
from avatar3d.track import TrackOptions, track


def face(avatar: Avatar, motion: Motion) -> np.ndarray:
    """Returns the face's vertices by frame, millimetres."""
    head = heads.load(avatar.head)
    with torch.no_grad():
        vertices = head.vertices(avatar.identity.expand(len(motion), -1), motion.pose)
    return 1000 * vertices[:, head.regions["face"] > 0.5].numpy()


def main() -> None:
    clip, avatar = avatar3d.capture(sys.argv[1]), avatar3d.load(sys.argv[2])
    if avatar.motion is None:
        raise SystemExit(f"{sys.argv[2]}: holds no motion; fit a clip")
    count = len(avatar.motion)
    clip = select(clip, range(count))
    focal = float(avatar.about["camera"]["K"][0][0])
    known = {"identity": avatar.identity, "focal": focal}
    plain = track(clip, TrackOptions(smooth=False), **known)
    smooth = track(clip, **known)
    part = stillest(face(avatar, smooth.motion), round(1.5 * clip.fps))
    print(f"frames {part.start} to {part.stop - 1} of {count}")
    for name, motion in (("landmarks", plain.motion), ("smoothed", smooth.motion), ("fitted", avatar.motion)):
        print(f"vertices, {name:9}  {tremor(face(avatar, motion)[part], clip.fps):.3f} mm")
    assert clip.landmarks is not None
    hull = np.zeros((clip.height, clip.width), np.uint8)
    middle = clip.landmarks[(part.start + part.stop) // 2, :, :2]
    cv2.fillConvexPoly(hull, cv2.convexHull(middle.astype(np.float32)).astype(np.int32), 1)
    rows = range(part.start, part.stop)
    shown = {"clip": np.stack([clip.frames[i] for i in rows])}
    for name, motion in (("smoothed", smooth.motion), ("fitted", avatar.motion)):
        shown[name] = np.stack(list(frames(avatar, motion.pose[part], smooth.camera)))
    for name, pictures in shown.items():
        grey = pictures.astype(np.float32).mean(-1)[:, hull > 0]
        print(f"pictures, {name:9}  {tremor(grey, clip.fps):.2f} levels")


if __name__ == "__main__":
    main()
