"""From a video, a folder of pictures or a photo to a `Clip`: frames, sound, landmarks, coefficients and masks."""

from avatar3d.capture.division import Division, divide
from avatar3d.capture.multiview import NoFaceError
from avatar3d.capture.scene import scene
from avatar3d.capture.take import CaptureOptions, capture, select

__all__ = ["CaptureOptions", "Division", "NoFaceError", "capture", "divide", "scene", "select"]
