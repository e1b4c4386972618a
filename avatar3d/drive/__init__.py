"""Makes motions: from sound, words, other motions, and nothing at all."""

from pathlib import Path

import torch

from avatar3d.core import Avatar, AvatarError, Motion, Pose
from avatar3d.drive.retarget import RetargetOptions, retarget
from avatar3d.drive.stream import SpeechOptions, speaker, speech
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.sound import Sound, SoundFile, open_sound

__all__ = ["RetargetOptions", "SpeechOptions", "drive", "retarget", "speaker", "speech"]


def drive(
    source: Motion | Sound | SoundFile | Path | str,
    avatar: Avatar | None = None,
    options: SpeechOptions | None = None,
    phones: PhoneTrack | None = None,
    transfer: RetargetOptions | None = None,
) -> Motion:
    """Returns a motion for an avatar: what a face does that says what is heard, or what somebody else does.

    Args:
        source: Speech (a sound, or the name of a file with sound), or a motion of somebody else.
        avatar: Who shall do it; None for the default head at rest.
        options: How speech moves the face.
        phones: What is said, where it is known; else it is heard.
        transfer: How a motion is taken over.

    Raises:
        AvatarError: A file that cannot be read as sound, or an option out of range.

    Example:
        >>> import avatar3d
        >>> me = avatar3d.load("me.a3d")                          # doctest: +SKIP
        >>> avatar3d.drive("hello.wav", me).pose.expression.shape  # doctest: +SKIP
        torch.Size([63, 52])
    """
    options = options or SpeechOptions()
    if isinstance(source, Motion):
        if avatar is None:
            raise AvatarError("drive: a motion is taken over by an avatar; give one")
        return retarget(source, avatar, transfer or RetargetOptions())
    sound = open_sound(source) if isinstance(source, Path | str) else source
    pieces = list(speech(sound, options, phones))
    if not pieces:
        raise AvatarError("drive: the sound is shorter than a frame")
    whole = {n: torch.cat([getattr(m.pose, n) for m in pieces]) for n in ("expression", "joints", "root")}
    motion = Motion(Pose(**whole), options.fps, pieces[0].names)
    return motion if avatar is None else speaker(avatar, options.voice)(motion)
