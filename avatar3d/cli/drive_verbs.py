"""`avatar3d drive` and `avatar3d voice`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, UseAppendAction, arg

from avatar3d.cli.command import Command
from avatar3d.cli.console import Console

Out = Annotated[Path | None, arg(aliases=["-o"])]


@dataclass(frozen=True, kw_only=True)
class Drive(Command):
    """Make an avatar speak or act: from sound, text, a video, a motion file, or live.

    Give one of `--audio`, `--text`, `--video`, `--motion` and `--live`. `-o` writes a film, `--to` the motion for other
    tools (Live Link Face's columns as .csv, ARKit names as .json), which needs no avatar.
    """

    avatar: Positional[Path | None] = None
    """Avatar file; not needed for `--to` alone."""
    output: Out = None
    """`.mp4` to write."""
    to: Path | None = None
    """`.csv` or `.json` to write the motion to."""
    subtitles: Path | None = None
    """`.srt` or `.vtt` to write the words to (with `--text` or `--transcript`)."""
    audio: Path | None = None
    """Speech: any sound file or video. With `--motion`, only the sound of the film."""
    text: str | None = None
    """Words to say, or a text file (needs the extra `text`)."""
    voice: str = "en-us"
    """Of `--text`: any of espeak-ng's languages, such as de, fr, cmn, en-us+f3."""
    transcript: str | None = None
    """What is said in `--audio`: words, a text file, or subtitles (.srt, .vtt); makes lips more exact."""
    language: str = "en"
    """Of the transcript: en, de, fr, ..."""
    phones: Path | None = None
    """Phones of `--audio` that are known already: .TextGrid or .json."""
    say_instead: str | None = None
    """What shall be said instead of `--transcript`: words left out, put in or replaced in `--audio`, `--video`, or
    `--motion` with its `--audio`. Words, or a text file."""
    recording: Path | None = None
    """Sound of the words that `--say-instead` puts in and that are not in the old recording, in their order; else a
    synthetic voice says them (extra `text`)."""
    sound: Path | None = None
    """`.wav` to write the sound of the performance to."""
    voice_model: Path | None = None
    """How this person's mouth moves, from `avatar3d voice`."""
    video: Path | None = None
    """Somebody who acts: their face is tracked and taken over."""
    same_person: bool = False
    """The person in `--video` is the avatar's: keep identity and focal length, take values over as they are."""
    motion: Path | None = None
    """Live Link Face's .csv, ARKit .json, a track or an avatar (.a3d)."""
    flip: str = ""
    """Angles that a .csv of another program counts the other way than the app: `yaw,roll`, `pitch`."""
    live: str | None = None
    """`mic`, `camera`, or a file that stands in for either: drive a page on this machine in real time."""
    port: int = 8765
    """Of the page that `--live` shows, on 127.0.0.1 only."""
    seconds: float | None = None
    """End `--live` after so long."""
    strength: UseAppendAction[tuple[str, ...]] = ()
    """How much by region: `--strength mouth=1.2 --strength brows=0.5`; 1 is as it is. Regions: mouth, jaw, tongue,
    cheeks, nose, brows, lids, gaze, head, body."""
    closure: float = 1.0
    """How sharply lips close in p, b, m and meet the teeth in f, v: 2 is twice as quick."""
    expression: bool = True
    """Take over mouth, brows and lids of a video or motion."""
    gaze: bool = True
    """Take over the eyes of a video or motion."""
    pose: bool = True
    """Take over head turns and body of a video or motion."""
    mouth_from: Path | None = None
    """Take jaw, lips and tongue from this motion file instead."""
    upper_from: Path | None = None
    """Take brows, lids, gaze and nose from this motion file instead."""
    pose_from: Path | None = None
    """Take the turns of the head and the motion of the body from this motion file instead."""
    gain: UseAppendAction[tuple[str, ...]] = ()
    """Factor of a weight: `--gain mouthSmile=1.3`. Names here and below: ARKit's, with Left or Right or for both sides
    without, regions as in `--strength`, or FACS action units such as AU12."""
    offset: UseAppendAction[tuple[str, ...]] = ()
    """Added to a weight: `--offset browInnerUp=0.2`."""
    smooth: UseAppendAction[tuple[str, ...]] = ()
    """Smooth a weight: `--smooth brows=3` lets pass what is slower than 3 Hz."""
    clamp: UseAppendAction[tuple[str, ...]] = ()
    """Keep a weight within: `--clamp mouthSmile=0/0.6`."""
    style: Path | None = None
    """Perform in the manner of this motion file: amplitudes, speed, asymmetry, blinks, nods."""
    style_strength: float = 1.0
    """How much of `--style`: 0 for none, up to 2."""
    emotion: str | None = None
    """What the face shows besides: `joy`, `joy:0.7@0-2,anger@2-4`, `joy:0.5+surprise:0.5`, `va:0.6/-0.2` (valence and
    arousal). Emotions: joy, sadness, surprise, fear, anger, disgust, contempt, neutral, tired, calm."""
    recentre: bool = False
    """Without an avatar: take the driver's neutral out of a video's or motion's weights."""
    absolute: bool = False
    """Take over the values of a video or motion, not the differences from its neutral."""
    life: bool = True
    """Blinks, glances, breath and sway where speech says nothing of them."""
    seed: int = 0
    """Of life: other seeds, other moments."""
    fps: float | None = None
    """Frames a second; by default 30, or those of the video or motion."""
    size: int = 512
    """Longer side of the film in pixels."""
    view: Literal["source", "front"] = "source"
    """As the avatar's clip was seen, or from the front at head and shoulders."""
    yaw: float = 0.0
    """Camera of `--view front`, degrees around the head."""
    pitch: float = 0.0
    """Camera of `--view front`, degrees above eye level."""
    zoom: float = 1.0
    """Camera of `--view front`."""
    background: Literal["white", "black", "grey", "green"] = "white"
    """Colour behind the head."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.drive_work import run_drive

        return run_drive(self, console)


@dataclass(frozen=True, kw_only=True)
class Voice(Command):
    """Learn how a person's mouth moves from a clip of them, for `avatar3d drive --voice-model`."""

    clip: Positional[Path]
    """Video with sound of the avatar's person."""
    avatar: Path
    """Avatar file of the same person."""
    output: Annotated[Path, arg(aliases=["-o"])]
    """`.safetensors` to write."""
    hold_out: float = 0.0
    """Share of the last frames to keep back and score on, such as 0.2."""

    def work(self, console: Console) -> Mapping[str, Any]:
        from avatar3d.cli.drive_work import run_voice

        return run_voice(self, console)


DRIVE_COMMANDS: dict[str, type[Command]] = {"drive": Drive, "voice": Voice}
