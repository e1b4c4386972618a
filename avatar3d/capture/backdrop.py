"""What lies behind the person, where the camera stands still."""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from avatar3d.capture.matte import Alpha, Image, refine, trimap
from avatar3d.capture.segment import Segmenter
from avatar3d.core import Frames

_SAMPLES = 24  # frames looked at: 0.3 s, and enough for a median
_LEAST = 8  # frames in a clip worth it
_MARGIN = 7  # pixels kept from the matte's edge
_SEEN = 2  # samples of a pixel that make it known
_STEADY = 0.04  # mean change of a pixel's colour above which it is not background
_STILL = 0.02  # the same for the picture as a whole, above which the camera moves; phone video measures .002 to .011
_NEAR, _FAR = 0.03, 0.08  # difference of colour from the backdrop that is noise, and that surely is none
_OTHER, _SURELY = 0.2, 0.35  # difference from which something stands before it, and surely does
_DOUBT = 0.2  # matte below which such a difference may be a shadow or a passer-by


@dataclass(frozen=True)
class Backdrop:
    """The empty scene."""

    image: Float[np.ndarray, "h w 3"]
    known: Bool[np.ndarray, "h w"]
    """Where the background was seen and did not change."""

    def correct(self, image: Image, alpha: Alpha) -> Alpha:
        """Returns the matte without what looks like the empty scene, and with more of what surely does not.

        The first removes dark seams that touch hair and gaps between strands, the second restores earrings and thin
        locks that the network half lost. Solving for alpha against the known background instead costs more error than
        it mends wherever clothes or hair resemble what is behind them.
        """
        r, g, b = cv2.split(cv2.absdiff(image, self.image))
        away = cv2.max(cv2.max(r, g), b)
        most = np.clip((cv2.blur(away, (3, 3)) - _NEAR) / (_FAR - _NEAR), 0, 1)
        least = np.clip((away - _OTHER) / (_SURELY - _OTHER), 0, 1) * np.clip(alpha / _DOUBT - 1, 0, 1)
        changed = cv2.min(cv2.max(alpha, least), most)
        return np.where(self.known & (alpha < 0.999), changed, alpha)


def find_backdrop(frames: Frames, segmenter: Segmenter) -> Backdrop | None:
    """Returns the scene behind the person, or None where the camera moves or too little of it is seen.

    Args:
        frames: Frames of one size; a few are sampled.
        segmenter: The person network.
    """
    if len(frames) < _LEAST:
        return None
    chosen = np.unique(np.linspace(0, len(frames) - 1, _SAMPLES).round().astype(int))
    samples = [frames[int(i)] for i in chosen]
    sure = np.stack([_empty(image, segmenter) for image in samples])
    images = np.stack(samples).astype(np.int16)
    count = sure.sum(0)
    known = count >= _SEEN
    if known.mean() < 0.02:
        return None
    # The median over the frames where a pixel is surely background: others sort behind.
    values = np.where(sure[..., None], images, np.int16(256))
    values.sort(0)
    middle = np.maximum(count - 1, 0)[None, ..., None] // 2
    median = np.take_along_axis(values, np.broadcast_to(middle, (1, *images.shape[1:])), 0)[0]
    change = np.abs(images - median).max(-1) * sure
    change = change.sum(0, dtype=np.float32) / np.maximum(count, 1) / 255
    if float(np.median(change[known])) > _STILL:
        return None
    known &= change < _STEADY
    return Backdrop((np.where(known[..., None], median, 0) / 255).astype(np.float32), known)


def _empty(image: np.ndarray, segmenter: Segmenter) -> np.ndarray:
    """Returns where surely nobody is."""
    return trimap(refine(image.astype(np.float32) / 255, segmenter(image)), _MARGIN) == 0
