"""Matte of a person: the network's coarse answer, refined to the hair's edge and steadied over time.

Pictures are float32 RGB in [0, 1], mattes float32 in [0, 1].
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from avatar3d.capture.segment import Segmenter

Image = Float[np.ndarray, "h w 3"]
Alpha = Float[np.ndarray, "h w"]

_RADIUS = 8  # pixels of the guided filter
_HEAD = 1.9  # side of the head crop over the face's box: hair and some shoulder inside


def coarse(segmenter: Segmenter, image: UInt8[np.ndarray, "h w 3"], head: tuple[int, int, int] | None) -> Alpha:
    """Returns the network's matte, looked at twice: the whole frame, and a square around the head laid over it.

    Args:
        segmenter: The network.
        image: RGB.
        head: Left, top and side of the square in pixels, inside the frame; None to skip the second look.
    """
    alpha = segmenter(image)
    if head is None:
        return alpha
    x, y, side = head
    crop = segmenter(np.ascontiguousarray(image[y : y + side, x : x + side]))
    t = (np.arange(side, dtype=np.float32) + 0.5) / side
    rise, fall = np.clip(t / 0.1, 0, 1), np.clip((1 - t) / 0.1, 0, 1)
    across = (rise if x > 0 else 1.0) * (fall if x + side < image.shape[1] else 1.0) * np.ones_like(t)
    # The crop's lower part is not trusted: the network leaks there when the shoulders are cut.
    down = (rise if y > 0 else 1.0) * np.clip((0.85 - t) / 0.2, 0, 1)
    part = alpha[y : y + side, x : x + side]
    part += (down[:, None] * across[None]) * (crop - part)
    return alpha


def head_square(landmarks: Float[np.ndarray, "l 3"], width: int, height: int) -> tuple[int, int, int] | None:
    """Returns left, top and side of the square that holds face, hair and some shoulder; None when it is no gain."""
    low, high = landmarks[:, :2].min(0), landmarks[:, :2].max(0)
    side = round(_HEAD * float((high - low).max()))
    if side < 32 or side > 0.9 * min(width, height):
        return None
    x, y = (low + high) / 2 - side / 2
    y -= 0.05 * side  # hair above matters more than the neck below
    return int(np.clip(round(x), 0, width - side)), int(np.clip(round(y), 0, height - side)), side


def refine(image: Image, alpha: Alpha, band: int = 9) -> Alpha:
    """Returns the matte with its edge drawn to the picture's: a colour guided filter, twice.

    Each time only the band of uncertain pixels changes and is contrast-stretched: the plain filter leaves haze over
    the background and pin-holes in textured hair.
    """
    guide = _Guide(image, _RADIUS)
    alpha = _stretch(guide.filter(alpha), alpha, band, 0.1, 0.9)
    return _stretch(guide.filter(alpha), alpha, band, 0.15, 0.85)


def steady(image: Image, alpha: Alpha, last: tuple[Image, Alpha], sigma: float = 0.03, keep: float = 0.7) -> Alpha:
    """Returns the matte smoothed in time where the picture stands still; a moving edge passes untouched.

    Args:
        image: This frame.
        alpha: Its matte.
        last: The frame before and its steadied matte.
        sigma: Change of colour at which smoothing fades out.
        keep: Share of the past where nothing moves.
    """
    change = cv2.blur(_largest(cv2.absdiff(image, last[0])), (5, 5))
    square = np.ones((5, 5), np.uint8)
    # The past is clamped to the neighbourhood's range, else fast motion leaves trails on plain backgrounds.
    past = np.clip(last[1], cv2.erode(alpha, square), cv2.dilate(alpha, square))
    return alpha + keep * cv2.exp(change * change * (-1 / sigma**2)) * (past - alpha)


def _largest(image: Image) -> Alpha:
    r, g, b = cv2.split(image)
    return cv2.max(cv2.max(r, g), b)


def foreground(image: Image, alpha: Alpha) -> Image:
    """Returns the person's own colour where the background is mixed in (Forte 2021, blur fusion, two passes).

    Composite alpha * foreground + (1 - alpha) * new: alpha * image would carry the old background as a halo.
    """
    # The wide pass needs no detail: a quarter of the size, a sixteenth of the work.
    size, quarter = image.shape[1::-1], tuple(max(1, n // 4) for n in image.shape[1::-1])
    small = cv2.resize(image, quarter, interpolation=cv2.INTER_AREA)
    share = cv2.resize(alpha, quarter, interpolation=cv2.INTER_AREA)
    front, back = (cv2.resize(x, size) for x in _fuse(small, share, small, small, 11)[1:])
    solved = np.clip(front + alpha[..., None] * (image - _mix(alpha, front, back)), 0, 1)
    return _fuse(image, alpha, solved, back, 3)[0]


def _fuse(image: Image, alpha: Alpha, front: Image, back: Image, radius: int) -> tuple[Image, Image, Image]:
    """Returns the foreground solved against local means, and those means of front and back."""
    window = (2 * radius + 1, 2 * radius + 1)
    a = alpha[..., None]
    mean_front = cv2.blur(front * a, window) / (cv2.blur(alpha, window)[..., None] + 1e-5)
    mean_back = cv2.blur(back * (1 - a), window) / (cv2.blur(1 - alpha, window)[..., None] + 1e-5)
    return np.clip(mean_front + a * (image - _mix(alpha, mean_front, mean_back)), 0, 1), mean_front, mean_back


def _mix(alpha: Alpha, front: Image, back: Image) -> Image:
    return back + alpha[..., None] * (front - back)


class _Guide:
    """A picture prepared to filter mattes by: the fast colour guided filter (He and Sun 2015).

    Coefficients are found at half the size and applied at full size. Planes are separate: small arrays stay in cache,
    and the filter is a third as long as with three-channel arrays.
    """

    def __init__(self, image: Image, radius: int, epsilon: float = 1e-4):
        height, width = image.shape[:2]
        self.planes = cv2.split(image)
        self.window = (2 * (radius // 2) + 1,) * 2
        self.half = (max(1, width // 2), max(1, height // 2))
        self.small = [cv2.resize(x, self.half, interpolation=cv2.INTER_AREA) for x in self.planes]
        r, g, b = self.small
        self.means = mr, mg, mb = [cv2.blur(x, self.window) for x in self.small]
        rr, gg, bb = (self._mean(x * x) - m * m + epsilon for x, m in ((r, mr), (g, mg), (b, mb)))
        rg, rb, gb = self._mean(r * g) - mr * mg, self._mean(r * b) - mr * mb, self._mean(g * b) - mg * mb
        # The inverse of the 3x3 covariance, by its adjugate.
        a00, a01, a02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
        a11, a12, a22 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
        scale = 1 / (rr * a00 + rg * a01 + rb * a02)
        self.inverse = [[x * scale for x in row] for row in ((a00, a01, a02), (a01, a11, a12), (a02, a12, a22))]

    def _mean(self, x: np.ndarray) -> np.ndarray:
        return cv2.blur(x, self.window)

    def filter(self, alpha: Alpha) -> Alpha:
        """Returns the matte as a locally linear function of the picture's colours; may leave [0, 1] a little."""
        target = cv2.resize(alpha, self.half, interpolation=cv2.INTER_AREA)
        mean = self._mean(target)
        cross = [self._mean(x * target) - m * mean for x, m in zip(self.small, self.means, strict=True)]
        slopes = [row[0] * cross[0] + row[1] * cross[1] + row[2] * cross[2] for row in self.inverse]
        offset = mean - sum(k * m for k, m in zip(slopes, self.means, strict=True))
        size = alpha.shape[::-1]
        result = cv2.resize(self._mean(offset), size, interpolation=cv2.INTER_LINEAR)
        for slope, plane in zip(slopes, self.planes, strict=True):
            result += cv2.resize(self._mean(slope), size, interpolation=cv2.INTER_LINEAR) * plane
        return result


def trimap(alpha: Alpha, radius: int) -> UInt8[np.ndarray, "h w"]:
    """Returns 255 where surely the person, 0 where surely not, 128 around every soft pixel and the 0.5 contour."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    person = cv2.erode((alpha > 0.9).astype(np.uint8), disc, borderValue=1)
    empty = cv2.erode((alpha < 0.1).astype(np.uint8), disc, borderValue=1)
    return np.where(person > 0, 255, np.where(empty > 0, 0, 128)).astype(np.uint8)


def _stretch(filtered: Alpha, alpha: Alpha, band: int, low: float, high: float) -> Alpha:
    """Returns the filtered matte stretched inside the uncertain band of `alpha`, sure values outside it."""
    sure = trimap(alpha, band)
    soft = np.clip(filtered * (1 / (high - low)) - low / (high - low), 0, 1)
    return np.where(sure == 128, soft, sure * np.float32(1 / 255))
