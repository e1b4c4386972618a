"""What `avatar3d drive` does: check what was asked, gather the motion, write what was asked for."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avatar3d import motions, perform, store
from avatar3d.cli.acting_work import acting_of
from avatar3d.cli.console import Console
from avatar3d.cli.retell_work import check_retell, retold_played, sound_of
from avatar3d.cli.show import COLOURS, source_camera
from avatar3d.cli.work import check_output
from avatar3d.core import Avatar, AvatarError
from avatar3d.drive.life import LifeOptions
from avatar3d.drive.mouth import MouthOptions
from avatar3d.drive.personal import load_voice, save_voice
from avatar3d.drive.retarget import RetargetOptions, check
from avatar3d.drive.stream import SpeechOptions
from avatar3d.edit.acting.adjust import recentred
from avatar3d.perform import Played, Shot
from avatar3d.render.path import parse_settings
from avatar3d.speech.annotations import read_phones, write_phones
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.sound import Sound, SoundFile, open_sound, read_sound, write_sound

if TYPE_CHECKING:
    from avatar3d.cli.drive_verbs import Drive, Voice

_AFTER = 0.4
"""Seconds of silence after spoken text: the mouth closes before a film ends."""
_SOURCES = ("text", "video", "motion", "live")


def run_drive(given: "Drive", console: Console) -> dict[str, Any]:
    """Drives an avatar, or writes what would drive it."""
    source = _source(given)
    if given.output is None and given.to is None and source != "live":
        raise AvatarError("nothing to write: give -o FILM.mp4, or --to MOTION.csv for other tools")
    if given.output is not None:
        check_output(given.output, ".mp4")
    if given.to is not None:
        check_output(given.to, *motions.WRITTEN)
    if given.output is not None and given.avatar is None:
        raise AvatarError("a film needs an avatar: avatar3d drive ME.a3d ...; --to MOTION.csv needs none")
    if given.subtitles is not None:
        if given.text is None and given.transcript is None and given.phones is None:
            raise AvatarError("--subtitles needs the words: --text, --transcript, or --phones with words")
        check_output(given.subtitles, ".srt", ".vtt")
    if given.sound is not None:
        check_output(given.sound, ".wav")
    if given.fps is not None and not 1 <= given.fps <= 240:
        raise AvatarError(f"--fps {given.fps:g}: give a number from 1 to 240")
    if not 16 <= given.size <= 4096:
        raise AvatarError(f"--size {given.size}: give a number from 16 to 4096 pixels")
    options = _options(given)
    avatar = None if given.avatar is None else store.load(given.avatar)
    acting = acting_of(given, avatar, options)
    if source == "live":
        return _live(given, avatar, options, console)
    played, told = _played(given, source, avatar, options, console)
    played = perform.acted(played, acting)
    if given.sound is not None:
        write_sound(sound_of(played), given.sound)
    shot = None if avatar is None or given.output is None else _shot(given, avatar)
    result: dict[str, Any] = {"output": _text(given.output), "to": _text(given.to), "fps": played.fps}
    with perform.noted(played, given.to) as passing:
        if avatar is not None and shot is not None and given.output is not None:
            made = perform.film(avatar, passing, shot, given.output, console.progress)
        else:
            made = perform.exhausted(passing, console.progress)
    result |= made | told
    speed = made["frames"] / played.fps / max(made["seconds"], 1e-9)
    result["times_real_time"] = round(speed, 2)
    for path in (given.output, given.to):
        if path is not None:
            console.note(f"{path}: {made['frames']} frames at {played.fps:g} a second, {speed:.1f} times real time")
    return result


def run_voice(given: "Voice", console: Console) -> dict[str, Any]:
    """Learns how a person's mouth moves."""
    check_output(given.output, ".safetensors")
    avatar = store.load(given.avatar)
    clock = time.perf_counter()
    model, scores = perform.voice_of(given.clip, avatar, given.hold_out, console.progress)
    save_voice(model, given.output)
    about = model.about
    console.note(
        f"{given.output}: learnt from {about['seconds']:g} s; the clip's sound is {about['offset_ms']} ms late"
    )
    if scores:
        found = f"{scores['personal_mm']:.2f} mm from the tracked lips, the general model {scores['general_mm']:.2f} mm"
        console.note(f"{scores['frames']} held-out frames: {found}: {scores['lower_percent']:.0f} % lower")
    seconds = round(time.perf_counter() - clock, 2)
    return {"output": str(given.output), **model.about, "work_seconds": seconds}


def _source(given: "Drive") -> str:
    """Returns what drives; `audio` beside a motion is only its sound."""
    named = [name for name in _SOURCES if getattr(given, name) is not None]
    if len(named) > 1:
        raise AvatarError(f"--{named[0]} and --{named[1]} do not go together; give one of them")
    if not named and given.audio is None:
        raise AvatarError("what shall drive it? give --audio, --text, --video, --motion or --live")
    source = named[0] if named else "audio"
    if source not in ("audio", "motion") and given.audio is not None:
        raise AvatarError(f"--audio and --{source} do not go together; give one of them")
    for name in ("transcript", "phones"):
        if getattr(given, name) is not None and source != "audio" and given.say_instead is None:
            raise AvatarError(f"--{name} tells what is said in --audio; it does not go with --{source}")
    check_retell(given, source)
    if given.recentre and (source not in ("motion", "video") or given.avatar is not None):
        raise AvatarError("--recentre is for a --motion or --video without an avatar: an avatar gets changes anyway")
    if given.same_person and source != "video":
        raise AvatarError("--same-person is about --video; leave it out")
    return source


def _options(given: "Drive") -> RetargetOptions:
    options = RetargetOptions(
        relative=not given.absolute,
        expression=given.expression,
        gaze=given.gaze,
        pose=given.pose,
        strength=parse_settings(given.strength),
    )
    check(options)
    return options


def _played(
    given: "Drive", source: str, avatar: Avatar | None, options: RetargetOptions, console: Console
) -> tuple[Played, dict[str, Any]]:
    """Returns the performance, and what there is to tell of it."""
    if given.say_instead is not None:
        said = replace(given, say_instead=_words(given.say_instead))
        both = options, _speech(given, options)
        played, phones, told = retold_played(said, source, avatar, both, lambda sound: _phones(given, sound), console)
        if given.subtitles is not None:
            write_phones(phones, given.subtitles)
        return played, told
    return _taken(given, source, avatar, options, console), {}


def _taken(given: "Drive", source: str, avatar: Avatar | None, options: RetargetOptions, console: Console) -> Played:
    if source == "motion":
        sound = None if given.audio is None else open_sound(given.audio)
        motion = motions.read(given.motion or "", flip=given.flip)
        return perform.of_motion(recentred(motion) if given.recentre else motion, avatar, options, sound, given.fps)
    if source == "video":
        path = given.video or Path()
        played = perform.of_video(path, avatar, options, given.same_person, given.fps, console.progress)
        return replace(played, blocks=[recentred(perform.whole(played))]) if given.recentre else played
    speech = _speech(given, options)
    sound, phones = _said(given, source)
    if given.subtitles is not None and phones is not None:
        write_phones(phones, given.subtitles)
    return perform.of_speech(sound, avatar, speech, phones)


def _speech(given: "Drive", options: RetargetOptions) -> SpeechOptions:
    return SpeechOptions(
        fps=given.fps or 30.0,
        mouth=MouthOptions(closure=given.closure),
        life=LifeOptions(seed=given.seed) if given.life else None,
        strength=options.strength,
        voice=None if given.voice_model is None else load_voice(given.voice_model),
    )


def _live(given: "Drive", avatar: Avatar | None, options: RetargetOptions, console: Console) -> dict[str, Any]:
    """Shows a live avatar until its source ends, or the keyboard interrupts."""
    from avatar3d.live import LiveOptions, live, opened

    if avatar is None:
        raise AvatarError("--live needs an avatar: avatar3d drive ME.a3d --live mic")
    if given.output is not None or given.to is not None:
        raise AvatarError("--live shows a page and writes no file; leave -o and --to out")
    if not 0 <= given.port <= 65535 or (given.seconds is not None and not given.seconds > 0):
        raise AvatarError("--live needs a --port from 0 to 65535 and --seconds above 0")
    pieces, kind = opened(given.live or "")
    shot = _shot(given, avatar)
    asked = LiveOptions(given.port, given.seconds, _speech(given, options), options, shot.background)
    if shot.at_rest:
        avatar = perform.at_origin(avatar)
    figures = live(avatar, shot.camera, pieces, kind, asked, lambda address: console.note(f"open {address}"))
    console.note(
        f"{figures['frames_per_second']} pictures a second, {figures['latency_ms']} ms from event to picture "
        f"(95 %: {figures['latency_95_ms']} ms)"
    )
    return {"source": given.live, "kind": kind, **figures}


def _said(given: "Drive", source: str) -> tuple[Sound | SoundFile, PhoneTrack | None]:
    """Returns what is heard, and what is known of the phones."""
    if source == "text":
        from avatar3d.speech.espeak import say

        spoken, phones = say(_words(given.text or ""), given.voice)
        quiet = np.zeros((len(spoken.samples), round(_AFTER * spoken.rate)), np.float32)
        longer = Sound(np.concatenate([spoken.samples, quiet], axis=1), spoken.rate)
        return longer, replace(phones, duration=longer.seconds)
    sound = open_sound(given.audio or "")
    if given.phones is None and given.transcript is None:
        return sound, None
    return sound, _phones(given, sound if given.phones is not None else read_sound(sound.path))


def _phones(given: "Drive", sound: Sound | SoundFile) -> PhoneTrack:
    """Returns the phones of a sound by what is known of them: a file, or the transcript."""
    if given.phones is not None:
        return read_phones(given.phones)
    from avatar3d.speech.align import align
    from avatar3d.speech.subtitles import read_subtitles

    heard = sound if isinstance(sound, Sound) else read_sound(sound.path)
    text = given.transcript or ""
    if text.lower().endswith((".srt", ".vtt")):
        return align(heard, read_subtitles(text), given.language)
    return align(heard, _words(text), given.language)


def _words(text: str) -> str:
    """Returns words that were given as such, or in a text file."""
    try:
        path = Path(text)
        if len(text) < 1024 and path.is_file():
            return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise AvatarError(f"{text}: not a text file that can be read ({error})") from error
    return text


def _shot(given: "Drive", avatar: Avatar) -> Shot:
    colour = COLOURS[given.background]
    if given.view == "source" and avatar.motion is not None and "camera" in avatar.about:
        camera = source_camera(avatar)
        return Shot(camera.scaled(given.size / max(camera.width, camera.height)), False, colour)
    return Shot(perform.front(given.size, given.yaw, given.pitch, given.zoom), True, colour)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
