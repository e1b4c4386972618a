"""The frames a fit looks at, in memory, and the batches drawn from them."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from avatar3d.core import AvatarError, Camera, Clip, Pose, Track, seed_all
from avatar3d.ops.image import composite
from avatar3d.tensors import Tensors


@dataclass(frozen=True)
class Views(Tensors):
    """Training frames: what the camera saw, how the face was posed, and from where."""

    images: UInt8[Tensor, "m h w 3"]
    masks: UInt8[Tensor, "m h w"]
    pose: Pose
    quality: Float[Tensor, " m"]
    index: Int[Tensor, " m"]
    """Frame numbers in the clip."""
    camera: Camera
    """One for all, or one for each."""
    step: Int[Tensor, " m"]
    """Time step of the clip that each shows (its frame number, unless several frames show the same moment)."""

    def __len__(self) -> int:
        return self.images.shape[0]

    @property
    def moments(self) -> Int[Tensor, " s"]:
        """The time steps that are shown, ascending."""
        return self.step.unique()

    def moment(self, rows: Int[Tensor, " b"]) -> Int[Tensor, " b"]:
        """Returns which of the `moments` each view shows: views of one moment share a pose."""
        return torch.searchsorted(self.moments, self.step[rows])

    @property
    def facing(self) -> Float[Tensor, "m 3"]:
        """Where the torso's front points to: x right, y up, z towards the viewer."""
        seen = (self.camera.w2c[..., :3, :3] @ self.pose.root[:, :3, 2:3])[..., 0]
        return seen * seen.new_tensor([1.0, -1.0, -1.0])


def split(frames: int, hold_out: float) -> int:
    """Returns how many frames at the start of a clip train; the rest (rounded down) is held out."""
    return max(1, frames - int(frames * hold_out + 1e-9))


def load(clip: Clip, track: Track, hold_out: float = 0.0, limit: int = 400) -> Views:
    """Returns the training frames of a tracked clip.

    Frames whose face was missing are left out.

    Args:
        clip: What was captured.
        track: Its poses; as many as the clip has frames.
        hold_out: Share of the last frames to leave out, in [0, 1].
        limit: Most frames to keep, thinned evenly.

    Raises:
        AvatarError: The track is of another clip, or no frame shows a tracked face.
    """
    check(clip, track)
    steps = torch.from_numpy(clip.steps)
    usable = torch.nonzero((track.quality[steps] > 0) & (steps < split(len(track.motion), hold_out)))[:, 0]
    if not len(usable):
        raise AvatarError(f"{clip.source}: no frame with a tracked face to fit to; give a clip that shows the face")
    if len(usable) > limit:
        even = torch.linspace(0, len(usable) - 1, limit).round().long()
        if clip.times is not None:  # even steps could pass by the same cameras at every moment
            even = torch.randperm(len(usable), generator=seed_all(0))[:limit].sort().values
        usable = usable[even]
    return read(clip, track, usable)


def check(clip: Clip, track: Track) -> None:
    """Raises an `AvatarError` if a track is of another clip."""
    steps = int(clip.steps.max()) + 1
    cameras = len(clip) if track.camera.w2c.dim() == 2 else len(track.camera.w2c)
    if len(track.motion) != steps or cameras != len(clip):
        what = "frames" if clip.times is None else "time steps"
        raise AvatarError(
            f"the track has {len(track.motion)} {what} and {clip.source} has {steps}: track this clip again"
        )


def read(clip: Clip, track: Track, index: Int[Tensor, " m"]) -> Views:
    """Returns the frames of a tracked clip at `index`. A clip without matte is taken as all foreground."""
    images = np.empty((len(index), clip.height, clip.width, 3), np.uint8)
    masks = np.full(images.shape[:3], 255, np.uint8)
    for row, frame in enumerate(index.tolist()):
        images[row] = clip.frames[frame]
        if clip.masks is not None:
            masks[row] = np.asarray(clip.masks[frame]).reshape(clip.height, clip.width)
    camera = track.camera.at(index)
    if (camera.width, camera.height) != (clip.width, clip.height):
        camera = Camera(camera.w2c, _rescaled(camera, clip), clip.width, clip.height)
    steps = torch.from_numpy(clip.steps)[index]
    pose, quality = track.motion.pose[steps], track.quality[steps]
    return Views(torch.from_numpy(images), torch.from_numpy(masks), pose, quality, index, camera, steps)


def _rescaled(camera: Camera, clip: Clip) -> Tensor:
    scale = camera.K.new_tensor([clip.width / camera.width, clip.height / camera.height, 1.0])
    return camera.K * scale[:, None]


@dataclass(frozen=True)
class Batch:
    """Views composited over a colour each, at one resolution."""

    rows: Int[Tensor, " b"]
    target: Float[Tensor, "b h w 3"]
    mask: Float[Tensor, "b h w"]
    background: Float[Tensor, "b 3"]
    camera: Camera
    """Batched."""


def batch(views: Views, rows: Int[Tensor, " b"], background: Float[Tensor, "b 3"], shrink: int = 1) -> Batch:
    """Returns views over solid colours: frame * matte + colour * (1 - matte).

    Args:
        views: All of them.
        rows: Which ones.
        background: Their colours, sRGB in [0, 1].
        shrink: By how much to reduce the resolution; blocks of so many pixels squared are averaged.
    """
    camera = views.camera.at(rows)
    shrink = min(shrink, camera.width, camera.height)
    target, mask = composite(views.images, views.masks, rows, background, shrink)
    camera, size = _shrunk(camera, shrink), len(rows)
    camera = Camera(camera.w2c.expand(size, 4, 4), camera.K.expand(size, 3, 3), camera.width, camera.height)
    return Batch(rows, target, mask, background, camera)


def _shrunk(camera: Camera, by: int) -> Camera:
    # Pooling drops the last rows and columns that fill no block, so the scale is exactly 1 / by; `Camera.scaled` is
    # a little off.
    scale = camera.K.new_tensor([1 / by, 1 / by, 1.0])
    return Camera(camera.w2c, camera.K * scale[:, None], camera.width // by, camera.height // by)


def draw(step: int, size: int, count: int, seed: int) -> tuple[Int[Tensor, " b"], Float[Tensor, "b 3"]]:
    """Returns the rows of a step and their background colours.

    Depends on nothing but its arguments, so that a resumed fit sees what an uninterrupted one would.
    Epoch after epoch, each shuffled.
    """
    rows = []
    for nth in range(step * size, (step + 1) * size):
        epoch, place = divmod(nth, count)
        order = torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))
        rows.append(order[place])
    generator = torch.Generator().manual_seed(seed * 1_000_003 + 500_009 + step)
    colours = torch.rand(size, 3, generator=generator)
    # Half of the backgrounds are white: that is what avatars are judged on, and the other half pins alpha.
    colours[(torch.arange(size) + step) % 2 == 0] = 1.0
    return torch.stack(rows), colours
