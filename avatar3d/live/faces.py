"""A face before a camera to the motion of an avatar, picture by picture."""

from collections import deque

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from avatar3d import heads
from avatar3d.capture.landmarks import Landmarker
from avatar3d.capture.measure import Follower, Person
from avatar3d.core import Motion, Pose
from avatar3d.heads.arkit import ARKIT
from avatar3d.motions import to_motion
from avatar3d.motions.curves import Curves
from avatar3d.track import embedding, reading

_FOCAL = 1.6
"""Focal length over the longer side that is assumed."""
_USUAL = 40
"""Pictures over which the reader learns what is usual for this face."""
_SMOOTH = 0.6
"""Weight of the newest picture; 1 shows every tremor, less lags behind."""


class CameraFace:
    """Follows one face: give pictures, get poses at the avatar's origin."""

    def __init__(self) -> None:
        self._landmarker = Landmarker()
        self._follower: Follower | None = None
        self._embedding = embedding.on(heads.load("anny"))
        self._reader = reading.load()
        self._seen: deque[tuple[np.ndarray, np.ndarray]] = deque(maxlen=_USUAL)
        self._last: tuple[np.ndarray, Rotation] | None = None

    def __call__(self, picture: np.ndarray) -> Motion | None:
        """Returns one frame of motion, or None where no face is seen.

        Args:
            picture: RGB uint8.
        """
        if self._follower is None:
            found = self._landmarker.find(picture)
            if not found:
                return None
            box = found[0].box
            reach = (box.x - box.side / 2, box.y - box.side / 2, box.x + box.side / 2, box.y + box.side / 2)
            self._follower = Follower(self._landmarker, Person(box, reach))
        face = self._follower(picture)
        if face is None:
            return None
        height, width = picture.shape[:2]
        points = face.landmarks.astype(np.float64) - np.array([width / 2, height / 2, 0])
        self._seen.append((points, face.blendshapes.astype(np.float64)))
        all_points, all_weights = (np.stack(x) for x in zip(*self._seen, strict=True))
        k = 1 / (_FOCAL * max(width, height))
        read = reading.read(self._reader, self._embedding, all_points, all_weights, k)
        return self._steadied(read.expression[-1], Rotation.from_matrix(read.rotation[-1]))

    def _steadied(self, expression: np.ndarray, turn: Rotation) -> Motion:
        """Returns the pose with tremor taken out; lids and lips that close do so at once."""
        if self._last is not None:
            before, turned = self._last
            quick = np.array([n.startswith(("eyeBlink", "jawOpen", "mouthClose")) for n in ARKIT])
            expression = np.where(quick, expression, before + _SMOOTH * (expression - before))
            turn = turned * Rotation.from_rotvec(_SMOOTH * (turned.inv() * turn).as_rotvec())
        self._last = expression, turn
        return to_motion(Curves(expression[None], turn.as_rotvec()[None], np.zeros((1, 2, 3)), 30.0))


def still() -> Pose:
    """Returns a face at rest."""
    joints = len(heads.load("anny").joints)
    return Pose(torch.zeros(1, len(ARKIT)), torch.zeros(1, joints, 3), torch.eye(4)[None])
