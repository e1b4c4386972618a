"""What a field that listens to sound hears in a clip."""

from dataclasses import replace

import torch

from avatar3d.core import AvatarError, Clip, Track
from avatar3d.fields import FieldSettings
from avatar3d.speech.heard import heard
from avatar3d.speech.sound import Sound


def listened(clip: Clip, track: Track, settings: FieldSettings) -> Track:
    """Returns the track with what each moment sounds like, where a field listens to that.

    Raises:
        AvatarError: The clip is silent.
    """
    if settings.condition != "audio":
        return track
    if clip.audio is None or not clip.rate:
        raise AvatarError(f"{clip.source}: no sound that a field could listen to; fit with --condition expression")
    sound = heard(Sound(clip.audio, clip.rate), clip.fps, len(track.motion))
    pose = replace(track.motion.pose, heard=torch.from_numpy(sound))
    return replace(track, motion=replace(track.motion, pose=pose))
