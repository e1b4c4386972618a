"""`avatar3d drive --say-instead`: the performance that was asked for, saying something else."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avatar3d import motions, perform
from avatar3d.cli.console import Console
from avatar3d.core import Avatar, AvatarError, Motion
from avatar3d.drive.retarget import RetargetOptions
from avatar3d.drive.stream import SpeechOptions, speaker
from avatar3d.motions.blend import resampled
from avatar3d.motions.neutral import Neutral, neutral_of
from avatar3d.perform import Played
from avatar3d.retell import RetellOptions, Retold, retold
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.sound import Sound, SoundFile, read_sound

if TYPE_CHECKING:
    from avatar3d.cli.drive_verbs import Drive


@dataclass(frozen=True)
class _Told:
    """The performance as it was."""

    motion: Motion
    sound: Sound
    person: bool
    """Whether the motion is a person's, not a model's."""
    neutral: Neutral | None = None
    """The driver's."""


def check_retell(given: "Drive", source: str) -> None:
    """Raises an `AvatarError` where a transcript edit lacks something, or something lacks a transcript edit."""
    if given.say_instead is None:
        if given.recording is not None:
            raise AvatarError("--recording holds words for --say-instead; give both")
        return
    if source not in ("audio", "motion", "video"):
        raise AvatarError(f"--say-instead changes what --audio, --video or --motion says; not --{source}")
    if source == "motion" and given.audio is None:
        raise AvatarError("--say-instead needs the sound of --motion: give it as --audio")
    if given.transcript is None and given.phones is None:
        raise AvatarError("--say-instead needs to know what is said: give --transcript, or --phones with words")


def retold_played(
    given: "Drive",
    source: str,
    avatar: Avatar | None,
    options: tuple[RetargetOptions, SpeechOptions],
    phones_of: Any,
    console: Console,
) -> tuple[Played, PhoneTrack, dict[str, Any]]:
    """Returns the edited performance as the avatar's own, what is said in it, and what was done.

    Args:
        given: The arguments.
        source: audio, motion or video.
        avatar: Whose performance it shall be; None for none.
        options: How motions are taken over, how speech moves the face.
        phones_of: Gives the phones of a sound.
        console: Told what was done.
    """
    transfer, speech = options
    told = _told(given, source, avatar, speech, phones_of, console)
    phones = phones_of(told.sound)
    if not phones.words:
        raise AvatarError("--say-instead needs words: the phones that were given have none")
    asked = RetellOptions(given.language, None if given.voice == "en-us" else given.voice, given.recording, told.person)
    new = retold(told.motion, told.sound, phones, given.say_instead or "", asked)
    _note(new, console)
    fps = new.motion.fps
    if not told.person:
        played = Played([new.motion], fps, len(new.motion), new.sound)
        if avatar is not None:
            played = replace(played, blocks=map(speaker(avatar, speech.voice), [new.motion]))
    else:
        if given.same_person:
            transfer = replace(transfer, relative=False)
        played = perform.of_motion(new.motion, avatar, transfer, new.sound, neutral=told.neutral)
    return played, new.phones, dict(new.about)


def _told(
    given: "Drive", source: str, avatar: Avatar | None, speech: SpeechOptions, phones_of: Any, console: Console
) -> _Told:
    if source == "audio":
        sound = read_sound(given.audio or "")
        return _Told(perform.whole(perform.of_speech(sound, None, speech, phones_of(sound))), sound, False)
    if source == "motion":
        motion, sound = motions.read(given.motion or ""), read_sound(given.audio or "")
    else:
        if given.same_person and avatar is None:
            raise AvatarError("the same person as whom? give the avatar")
        motion, heard = perform.watched(given.video or Path(), avatar if given.same_person else None, console.progress)
        if heard is None:
            raise AvatarError(f"{given.video}: no sound in it; --say-instead cuts sound and pictures")
        sound = heard
    motion = motion if given.fps is None else resampled(motion, given.fps)
    return _Told(motion, sound, True, neutral_of(motion))


def _note(new: Retold, console: Console) -> None:
    rows = new.about["changes"]
    if not rows:
        console.note("the words are the same: nothing is changed")
    for row in rows:
        told = f"'{row['old']}' -> '{row['new']}'" if row["old"] and row["new"] else ""
        told = told or (f"without '{row['old']}'" if row["old"] else f"with '{row['new']}'")
        at = f"{row['frames'][0] / new.motion.fps:.2f} s"
        synthetic = [p["words"] for p in row["parts"] if p["sound"] == "said"]
        console.note(f"at {at}: {told}" + (f"; not in the recording: {', '.join(synthetic)}" if synthetic else ""))


def sound_of(played: Played) -> Sound:
    """Returns the sound of a performance.

    Raises:
        AvatarError: It has none.
    """
    if played.sound is None:
        raise AvatarError("--sound: there is no sound to write; give --audio")
    return read_sound(played.sound.path) if isinstance(played.sound, SoundFile) else played.sound
