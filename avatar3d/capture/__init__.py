"""From a video, a folder of pictures or a photo to a `Clip`: frames, sound, landmarks, coefficients and masks."""

from avatar3d.capture.take import CaptureOptions, capture, select

__all__ = ["CaptureOptions", "capture", "select"]
