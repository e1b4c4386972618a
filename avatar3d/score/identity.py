"""Whose face it is: distances of a face-recognition network between aligned faces."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from torch.nn import functional

from avatar3d.core import AvatarError
from avatar3d.score import face_net

SAME = 0.6
"""Below this distance two pictures count as one person: the threshold of the network's author (dlib, example
`dnn_face_recognition_ex.cpp`), 99.38 % right on Labeled Faces in the Wild."""
_POINTS = (263, 362, 33, 133, 2)
"""Of the landmark network: the corners of the person's left eye (outer, inner) and right eye, and under the nose."""
# Where dlib's aligned faces have these points (its `get_face_chip_details` for five landmarks), with a margin of a
# quarter of the face on each side.
_CHIP = (
    (0.8595674595992, 0.2134981538014),
    (0.6460604764104, 0.2289674387677),
    (0.1205750620789, 0.2137274526848),
    (0.3340850613712, 0.2290642403242),
    (0.4901123135679, 0.6277975316475),
)
_MARGIN = 0.25


def embed(pictures: list[tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "l _"]]]) -> Float[Tensor, "b 128"]:
    """Returns the embeddings of faces.

    Args:
        pictures: RGB pictures, each with the 478 landmarks of a face in it, pixels (x right, y down).
    """
    faces = torch.stack([aligned(picture, landmarks) for picture, landmarks in pictures])
    with torch.no_grad():
        return face_net.load()(faces)


def distance(a: Float[Tensor, "m 128"], b: Float[Tensor, "n 128"]) -> float:
    """Returns the distance between two people, each the mean of some embeddings; below `SAME` they are one."""
    return float((a.mean(0) - b.mean(0)).norm())


def aligned(picture: UInt8[np.ndarray, "h w 3"], landmarks: Float[np.ndarray, "l _"]) -> Float[Tensor, "3 150 150"]:
    """Returns the face upright and in the place and size that the network learnt, RGB in [0, 255].

    Raises:
        AvatarError: Landmarks that are no face.
    """
    points = landmarks[list(_POINTS), :2].astype(np.float64)
    wanted = (np.array(_CHIP) + _MARGIN) / (1 + 2 * _MARGIN) * face_net.SIDE
    if not np.isfinite(points).all() or np.ptp(points[:, 0]) < 2:
        raise AvatarError("identity: no face, or one of less than two pixels")
    # The least-squares similarity from the face's pixels back to the picture's, as complex numbers.
    to, of = points @ [1, 1j], wanted @ [1, 1j]
    turn = ((of - of.mean()).conj() * (to - to.mean())).sum() / (np.abs(of - of.mean()) ** 2).sum()
    x = np.arange(face_net.SIDE) + 0.5
    grid = turn * (x[None] + 1j * x[:, None] - of.mean()) + to.mean()
    image = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)[None].float()
    shrink = max(1, int(abs(turn)))  # a large face is averaged first, or its noise would be what is compared
    image = functional.avg_pool2d(image, shrink, ceil_mode=False) if shrink > 1 else image
    height, width = (shrink * n for n in image.shape[-2:])
    where = np.stack([2 * grid.real / width - 1, 2 * grid.imag / height - 1], -1).astype(np.float32)
    return functional.grid_sample(image, torch.from_numpy(where)[None], align_corners=False)[0]
