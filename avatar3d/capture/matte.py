"""Matte of a person: the network's coarse answer, refined to the hair's edge and steadied over time.

Pictures are float32 RGB in [0, 1], mattes float32 in [0, 1].
"""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from avatar3d.capture.segment import Segmenter

Image = Float[np.ndarray, "h w 3"]
Alpha = Float[np.ndarray, "h w"]

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
    """Returns the matte with its edge drawn to the picture's: two colour guided filters, wide then narrow.

    Each works only in the band of uncertain pixels and is contrast-stretched there: the plain filter leaves haze over
    the background and pin-holes in textured hair.
    """
    alpha = _stretch(guided(image, alpha, 8), trimap(alpha, band), 0.1, 0.9)
    return _stretch(guided(image, alpha, 6), trimap(alpha, band), 0.15, 0.85)


def steady(image: Image, alpha: Alpha, last: tuple[Image, Alpha], sigma: float = 0.03, keep: float = 0.7) -> Alpha:
    """Returns the matte smoothed in time where the picture stands still; a moving edge passes untouched.

    Args:
        image: This frame.
        alpha: Its matte.
        last: The frame before and its steadied matte.
        sigma: Change of colour at which smoothing fades out.
        keep: Share of the past where nothing moves.
    """
    change = cv2.blur(np.abs(image - last[0]).max(-1), (5, 5))
    square = np.ones((5, 5), np.uint8)
    # The past is clamped to the neighbourhood's range, else fast motion leaves trails on plain backgrounds.
    past = np.clip(last[1], cv2.erode(alpha, square), cv2.dilate(alpha, square))
    return alpha + keep * np.exp(-((change / sigma) ** 2)) * (past - alpha)


def foreground(image: Image, alpha: Alpha) -> Image:
    """Returns the person's own colour where the background is mixed in (Forte 2021, blur fusion, two passes).

    Composite alpha * foreground + (1 - alpha) * new: alpha * image would carry the old background as a halo.
    """
    front, back, a = image, image, alpha[..., None]
    for radius in (45, 3):
        window = (2 * radius + 1, 2 * radius + 1)
        of_front, of_back = cv2.blur(alpha, window)[..., None], cv2.blur(1 - alpha, window)[..., None]
        mean_front = cv2.blur(front * a, window) / (of_front + 1e-5)
        mean_back = cv2.blur(back * (1 - a), window) / (of_back + 1e-5)
        front = np.clip(mean_front + a * (image - a * mean_front - (1 - a) * mean_back), 0, 1)
        back = mean_back
    return front


def guided(image: Image, alpha: Alpha, radius: int, epsilon: float = 1e-4, step: int = 2) -> Alpha:
    """Returns a matte filtered by the fast colour guided filter (He and Sun 2015).

    Coefficients are found at 1/`step` of the size and applied at full size.
    """
    height, width = alpha.shape
    size = (max(1, width // step), max(1, height // step))
    guide = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    target = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    window = (2 * (radius // step) + 1,) * 2

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.blur(x, window)

    mean_guide, mean_target = mean(guide), mean(target)
    cr, cg, cb = cv2.split(mean(guide * target[..., None]) - mean_guide * mean_target[..., None])
    r, g, b = cv2.split(guide)
    mr, mg, mb = cv2.split(mean_guide)
    rr, gg, bb = (mean(x * x) - m * m + epsilon for x, m in ((r, mr), (g, mg), (b, mb)))
    rg, rb, gb = mean(r * g) - mr * mg, mean(r * b) - mr * mb, mean(g * b) - mg * mb
    # The inverse of the 3x3 covariance, by its adjugate.
    a00, a01, a02 = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    a11, a12, a22 = rr * bb - rb * rb, rg * rb - rr * gb, rr * gg - rg * rg
    det = rr * a00 + rg * a01 + rb * a02
    slope = cv2.merge(
        [
            (a00 * cr + a01 * cg + a02 * cb) / det,
            (a01 * cr + a11 * cg + a12 * cb) / det,
            (a02 * cr + a12 * cg + a22 * cb) / det,
        ]
    )
    offset = mean_target - (slope * mean_guide).sum(2)
    slope, offset = (cv2.resize(mean(x), (width, height), interpolation=cv2.INTER_LINEAR) for x in (slope, offset))
    return np.clip((slope * image).sum(2) + offset, 0, 1)


def trimap(alpha: Alpha, radius: int) -> UInt8[np.ndarray, "h w"]:
    """Returns 255 where surely the person, 0 where surely not, 128 around every soft pixel and the 0.5 contour."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    person = cv2.erode((alpha > 0.9).astype(np.uint8), disc, borderValue=1)
    empty = cv2.erode((alpha < 0.1).astype(np.uint8), disc, borderValue=1)
    return np.where(person > 0, 255, np.where(empty > 0, 0, 128)).astype(np.uint8)


def _stretch(alpha: Alpha, sure: np.ndarray, low: float, high: float) -> Alpha:
    soft = np.clip((alpha - low) / (high - low), 0, 1)
    return np.where(sure == 255, 1, np.where(sure == 0, 0, soft)).astype(np.float32)
