"""478 landmarks and 52 coefficients of the face in a picture, by MediaPipe's three networks without its package.

The graphs lie in `face_landmarker.task` (Apache-2.0). Their pre- and postprocessing follows MediaPipe's public graph
descriptions: a letterboxed detector at 128^2 with SSD anchors, a rotated crop 1.5 times the face, landmarks at 256^2,
and coefficients from 146 of the landmarks.
"""

import io
import itertools
import math
import zipfile
from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from avatar3d import assets
from avatar3d.capture.tflite import Network

LANDMARKS = 478
COEFFICIENTS = 52

_DETECTED = 0.5  # MediaPipe's default thresholds for the detector and, as log odds, for a face in the crop
_PRESENT = 0.0
_OVERLAP = 0.3  # intersection over union above which two detections are one face
_SURE = 0.75  # an upright face scores .8 to .97; one that is not, less
_CERTAIN = (
    12.0  # log odds: a face measured upside down reaches 9 to 13, an upright one of 25 pixels 14, of 100 pixels 21
)
_SECOND = 5.0  # log odds below which a further face of a picture is not believed
_PASSES = 4  # an upside-down box needs three
_CANDIDATES = 24  # boxes measured in one look at a picture
_MARGIN = 1.5  # side of the crop over the face's box
_RIGHT_EYE, _LEFT_EYE = 33, 263  # outer eye corners, the subject's right one first

# Two anchors in each cell of a 16x16 grid and six in each of an 8x8 grid, as fractions of the picture.
_ANCHORS = np.array(
    [
        ((x + 0.5) / cells, (y + 0.5) / cells)
        for cells, each in ((16, 2), (8, 6))
        for y in range(cells)
        for x in range(cells)
        for _ in range(each)
    ]
)

# The landmarks that the coefficient network reads (MediaPipe, face_blendshapes_graph).
# fmt: off
_SUBSET = [
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78,
    80, 81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150,
    152, 153, 154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197,
    234, 246, 249, 251, 263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308,
    310, 311, 312, 314, 317, 318, 321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377,
    378, 379, 380, 381, 382, 384, 385, 386, 387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466,
    468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
]
# fmt: on


@dataclass(frozen=True)
class Box:
    """A square around a face, turned with it."""

    x: float
    """Centre, pixels."""
    y: float
    side: float
    """Pixels."""
    angle: float = 0.0
    """Roll of the eye line, radians, clockwise on the screen."""
    score: float = 1.0


@dataclass(frozen=True)
class Face:
    """What was measured on one face."""

    landmarks: Float[np.ndarray, "478 3"]
    """Pixels: x right, y down, z with the same scale, negative towards the camera."""
    blendshapes: Float[np.ndarray, " 52"]
    """In [0, 1], ARKit names in alphabetical order; tongueOut is always 0, the network lacks it."""
    logit: float
    """Log odds of a face in the crop; above 8 to 20 for a true one."""

    @property
    def score(self) -> float:
        """Probability of a face in the crop."""
        return 1 / (1 + math.exp(-self.logit))

    @property
    def box(self) -> Box:
        """The upright square around the landmarks."""
        low, high = self.landmarks[:, :2].min(0), self.landmarks[:, :2].max(0)
        x, y = (low + high) / 2
        return Box(float(x), float(y), float((high - low).max()), score=self.score)


class Landmarker:
    """Finds faces, and landmarks on them. One from one thread at a time."""

    def __init__(self):
        with zipfile.ZipFile(io.BytesIO(assets.path("face-landmarker").read_bytes())) as pack:
            self._detector = Network(pack.read("face_detector.tflite"))
            self._landmarks = Network(pack.read("face_landmarks_detector.tflite"))
            self._coefficients = Network(pack.read("face_blendshapes.tflite"))

    def detect(self, image: UInt8[np.ndarray, "h w 3"]) -> list[Box]:
        """Returns the faces that the detector sees in one look, the surest first.

        Those fill at least a tenth to a fifth of the picture and stand within about 45 degrees of upright.
        """
        return _suppress(self._detect(image))

    def measure(self, image: UInt8[np.ndarray, "h w 3"], box: Box) -> Face | None:
        """Returns the face in or near a box, or None when there is none.

        Args:
            image: RGB.
            box: From `detect`, or `following` of the frame before.
        """
        points, logit = self._measure(image, box)
        if logit < _PRESENT:
            return None
        net = next(iter(self._coefficients(points[_SUBSET, :2]).values())).ravel()
        coefficients = np.zeros(COEFFICIENTS, np.float32)
        # The network's list is alphabetical, begins with `_neutral` and lacks tongueOut, the last of ours.
        coefficients[:-1] = np.clip(net[1:], 0.0, 1.0)
        return Face(points, coefficients, logit)

    def find(self, image: UInt8[np.ndarray, "h w 3"], thorough: bool = True) -> list[Face]:
        """Returns every face of a picture, the largest first; the slow but sure way.

        Args:
            image: RGB.
            thorough: When one look finds no face beyond doubt, look in all four orientations and at ever smaller
                overlapping tiles.
        """
        height, width = image.shape[:2]
        best: list[Face] = []
        for part in (1, 2, 3, 4) if thorough else (1,):
            side = float(max(min(width, height), max(width, height) / part) / part if part > 1 else max(width, height))
            boxes = []
            for x, y in itertools.product(_tiles(width, side), _tiles(height, side)):
                tile = image[int(y) : int(y + side), int(x) : int(x + side)]
                seen: list[Box] = []
                for quarter in range(4) if thorough else (0,):
                    for box in _suppress(self._detect(np.rot90(tile, quarter))):
                        box = _turned(box, quarter, tile.shape[1], tile.shape[0])
                        seen.append(replace(box, x=box.x + int(x), y=box.y + int(y)))
                    if any(box.score > _SURE for box in seen):
                        break
                boxes += seen
            faces = self._verified(image, boxes, thorough)
            best = max(best, faces, key=lambda found: max((face.logit for face in found), default=-math.inf))
            if best and max(face.logit for face in best) > _CERTAIN:
                break
        return best

    def _verified(self, image: np.ndarray, boxes: list[Box], thorough: bool) -> list[Face]:
        """Measures candidate boxes and returns one face for each place, the largest first.

        A face seen upside down or from a corner still gives landmarks, but of a lower presence: the best of all
        orientations is the true one.
        """
        faces: list[Face] = []
        for box in sorted(boxes, key=lambda b: -b.score)[:_CANDIDATES]:
            face = self._settled(image, box)
            if thorough and (face is None or face.logit < _CERTAIN):
                turned = [self._settled(image, replace(box, angle=box.angle + i * math.pi / 4)) for i in range(1, 8)]
                face = max([f for f in (face, *turned) if f is not None], key=lambda f: f.logit, default=None)
            if face is not None:
                faces.append(face)
        kept: list[Face] = []
        for face in sorted(faces, key=lambda f: -f.logit):
            doubtful = kept and face.logit < _SECOND
            if not doubtful and all(overlap(face.box, other.box) < _OVERLAP for other in kept):
                kept.append(face)
        return sorted(kept, key=lambda f: -f.box.side)

    def _settled(self, image: np.ndarray, box: Box) -> Face | None:
        """Measures again in the landmarks' own box, which is closer than the detector's, until that gains nothing."""
        best = self.measure(image, box)
        for _ in range(_PASSES):
            face = None if best is None else self.measure(image, following(best))
            if best is None or face is None:
                break
            gain, best = face.logit - best.logit, face
            if gain < 0.5:
                break
        return best

    def _detect(self, image: np.ndarray) -> list[Box]:
        height, width = image.shape[:2]
        side = max(height, width)
        top, left = (side - height) // 2, (side - width) // 2
        scale = 128 / side
        matrix = np.array([[scale, 0, left * scale], [0, scale, top * scale]])
        # Area averaging first: a plain warp of a large picture would alias.
        small = cv2.resize(
            image, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
        )
        canvas = np.zeros((128, 128, 3), np.uint8)
        y0, x0 = round(matrix[1, 2]), round(matrix[0, 2])
        small = small[: 128 - y0, : 128 - x0]
        canvas[y0 : y0 + small.shape[0], x0 : x0 + small.shape[1]] = small
        out = self._detector(canvas.astype(np.float32) / 127.5 - 1)
        scores = out[896][0, :, 0]
        chosen = np.flatnonzero(scores > math.log(_DETECTED / (1 - _DETECTED)))
        boxes = []
        for index in chosen[np.argsort(-scores[chosen])][:32]:
            raw = out[896 * 16][0, index] / 128
            (cx, cy), eyes = _ANCHORS[index] + raw[:2], _ANCHORS[index] + raw[4:8].reshape(2, 2)
            dx, dy = eyes[1] - eyes[0]
            face = Box(
                float(cx * side - left),
                float(cy * side - top),
                float(max(raw[2], raw[3]) * side),
                math.atan2(dy, dx),
                1 / (1 + math.exp(-float(scores[index]))),
            )
            boxes.append(face)
        return boxes

    def _measure(self, image: np.ndarray, box: Box) -> tuple[np.ndarray, float]:
        scale = 256 / max(box.side * _MARGIN, 1.0)
        cos, sin = math.cos(box.angle) * scale, math.sin(box.angle) * scale
        matrix = np.array([[cos, sin, 0.0], [-sin, cos, 0.0]])
        # Pixel centres at +0.5: the crop's corner (0, 0) is half a pixel before its first sample.
        matrix[:, 2] = 127.5 - matrix[:, :2] @ np.array([box.x - 0.5, box.y - 0.5])
        source = image
        if scale < 0.5:  # shrinking by more than two: average first, or the samples alias
            factor = 2.0 * scale
            size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
            source = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
            fx, fy = image.shape[1] / size[0], image.shape[0] / size[1]
            warp = matrix.copy()  # p = (q + 0.5) f - 0.5
            warp[:, 2] += matrix[:, :2] @ np.array([0.5 * fx - 0.5, 0.5 * fy - 0.5])
            warp[:, :2] = matrix[:, :2] * np.array([fx, fy])
        else:
            warp = matrix
        crop = cv2.warpAffine(source, warp, (256, 256), flags=cv2.INTER_LINEAR)
        out = self._landmarks(crop.astype(np.float32) / 255)
        points = out[LANDMARKS * 3].reshape(LANDMARKS, 3).astype(np.float64)
        inverse = np.linalg.inv(matrix[:, :2])
        points[:, :2] = (points[:, :2] - 0.5 - matrix[:, 2]) @ inverse.T + 0.5
        points[:, 2] /= scale
        return points.astype(np.float32), float(out[1].ravel()[0])


def following(face: Face) -> Box:
    """Returns where to look for a face in the next frame: the box of its landmarks, turned upright."""
    points = face.landmarks[:, :2].astype(np.float64)
    dx, dy = points[_LEFT_EYE] - points[_RIGHT_EYE]
    angle = math.atan2(dy, dx)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    upright = points @ turn.T
    low, high = upright.min(0), upright.max(0)
    x, y = turn.T @ ((low + high) / 2)
    return Box(float(x), float(y), float((high - low).max()), angle, face.score)


def overlap(a: Box, b: Box) -> float:
    """Returns the intersection over union of two boxes, taken upright."""
    x = min(a.x + a.side / 2, b.x + b.side / 2) - max(a.x - a.side / 2, b.x - b.side / 2)
    y = min(a.y + a.side / 2, b.y + b.side / 2) - max(a.y - a.side / 2, b.y - b.side / 2)
    shared = max(x, 0.0) * max(y, 0.0)
    return shared / max(a.side**2 + b.side**2 - shared, 1e-9)


def _suppress(boxes: list[Box]) -> list[Box]:
    """Returns one box a face: the best of those that overlap."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda b: -b.score):
        if all(overlap(box, other) < _OVERLAP for other in kept):
            kept.append(box)
    return kept


def _turned(box: Box, quarter: int, width: int, height: int) -> Box:
    """Returns a box found in `np.rot90(image, quarter)` in the pixels of the image itself."""
    x, y = {
        0: (box.x, box.y),
        1: (width - box.y, box.x),
        2: (width - box.x, height - box.y),
        3: (box.y, height - box.x),
    }[quarter]
    return Box(x, y, box.side, box.angle + quarter * math.pi / 2, box.score)


def _tiles(length: int, side: float) -> list[float]:
    """Returns starts of half-overlapping tiles that cover a length."""
    count = max(1, math.ceil((length - side) / (side / 2)) + 1)
    return [0.0] if count == 1 else [i * (length - side) / (count - 1) for i in range(count)]
