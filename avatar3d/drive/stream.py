"""Speech to the motion of a face, block by block: the same numbers for a whole file, a stream, and any cut of it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float

from avatar3d import heads
from avatar3d.core import Avatar, Motion, Pose
from avatar3d.drive.life import Life, LifeOptions
from avatar3d.drive.mouth import RATE, Mouth, MouthOptions, strengths
from avatar3d.drive.personal import MOUTH, Personal, VoiceModel
from avatar3d.drive.prosody import Prosody, ProsodyOptions
from avatar3d.drive.retarget import Transfer, rest_of
from avatar3d.heads.arkit import ARKIT
from avatar3d.motions.blend import scaled
from avatar3d.motions.neutral import Neutral
from avatar3d.speech.features import AudioFeatures, Features, joined
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.sound import Sound, SoundFile, mono_blocks
from avatar3d.speech.visemes import VISEMES

SAMPLES = 16000
"""Samples of a block, and of a second."""


@dataclass(frozen=True)
class SpeechOptions:
    """How speech moves a face."""

    fps: float = 30.0
    """Frames a second of the motion."""
    mouth: MouthOptions = field(default_factory=MouthOptions)
    """How lips, jaw and tongue follow; its `fps` is overridden by the one above."""
    prosody: ProsodyOptions | None = field(default_factory=ProsodyOptions)
    """Brows, lids and nods that follow the voice; None for none."""
    voice: VoiceModel | None = None
    """How this person's mouth moves; None for the general mouth."""
    life: LifeOptions | None = field(default_factory=LifeOptions)
    """Blinks, glances, breath and sway; None for a face that only speaks."""
    strength: Mapping[str, float] = field(default_factory=dict)
    """By region (`blend.REGIONS`), applied last: 1 as it is."""


class Speech:
    """A face that says what it hears: push sound, get motion, flush at the end."""

    def __init__(self, options: SpeechOptions = SpeechOptions(), phones: PhoneTrack | None = None):
        """See `speech`."""
        self._options = options
        self._features = Features()
        self._listener = None if phones is not None else _listener()
        self._known = None if phones is None else (phones.visemes(RATE), strengths(phones, _frames(phones)))
        self._mouth = Mouth(replace(options.mouth, fps=options.fps))
        self._personal = None if options.voice is None else Personal(options.voice, options.fps)
        self._prosody = None
        if options.prosody is not None:
            ahead = min(options.prosody.lookahead, self._mouth.delay)  # it shall not wait longer than the mouth
            self._prosody = Prosody(options.fps, replace(options.prosody, lookahead=ahead))
        self._life = None if options.life is None else Life(options.fps, options.life)
        self._heard: list[AudioFeatures] = []
        self._visemes = np.zeros((0, len(VISEMES)))
        self._said = 0  # frames of known phones that were used

    @property
    def delay(self) -> float:
        """Seconds of sound that a frame needs after its own time."""
        hearing = 0.0 if self._listener is None else self._listener.delay
        return max(self._features.delay, hearing) + self._mouth.delay

    def push(self, block: Float[np.ndarray, " a"]) -> Motion:
        """Returns the frames that are complete with these samples (mono, 16 kHz, in [-1, 1])."""
        visemes = None if self._listener is None else self._listener.push(block)
        return self._came(self._features.push(block), visemes)

    def flush(self) -> Motion:
        """Returns the frames of the end."""
        visemes = None if self._listener is None else self._listener.flush()
        some = self._came(self._features.flush(), visemes)
        if self._prosody is not None:
            self._prosody.finish()
        rest = self._motion(self._mouth.flush())
        pose = Pose(*(torch.cat([getattr(m.pose, n) for m in (some, rest)]) for n in ("expression", "joints", "root")))
        return replace(some, pose=pose)

    def _came(self, heard: AudioFeatures, visemes: np.ndarray | None) -> Motion:
        """Takes features and visemes as far as both are there."""
        self._heard.append(heard)
        if visemes is not None:
            self._visemes = np.concatenate([self._visemes, visemes])
        both = joined(self._heard)
        count = len(both) if self._known is not None else min(len(both), len(self._visemes))
        now, self._heard = both[:count], [both[count:]]
        if self._known is None:
            seen, careful = self._visemes[:count], None
            self._visemes = self._visemes[count:]
        else:
            seen, careful = (
                _taken(x, self._said, count, rest) for x, rest in zip(self._known, (0.0, 1.0), strict=True)
            )
            self._said += count
        if self._personal is not None:
            self._personal.push(seen, now)
        if self._prosody is not None:
            self._prosody.push(now)
        return self._motion(self._mouth.push(seen, now, careful))

    def _motion(self, weights: Float[np.ndarray, "m 52"]) -> Motion:
        weights = weights if self._personal is None else self._personal(weights)
        joints = torch.zeros(len(weights), len(heads.load("anny").joints), 3)
        root = torch.eye(4).repeat(len(weights), 1, 1)
        motion = Motion(Pose(torch.from_numpy(weights).float(), joints, root), self._options.fps, ARKIT)
        cues: tuple[float, ...] = ()
        if self._prosody is not None and len(motion):
            done = self._prosody(motion)
            motion, cues = done.motion, done.cues
        if self._life is not None and len(motion):
            motion = self._life(motion, cues)
        return scaled(motion, self._options.strength) if self._options.strength else motion


def speech(
    sound: Sound | SoundFile, options: SpeechOptions = SpeechOptions(), phones: PhoneTrack | None = None
) -> Iterator[Motion]:
    """Yields the motion of a face that says what is heard, about a second at a time, in bounded memory.

    Args:
        sound: Speech in any language.
        options: How it moves the face.
        phones: What is said, where known: from text, a transcript or a file. Without it, it is heard.

    Raises:
        AvatarError: An option out of range, or a file that cannot be read as sound.
    """
    face = Speech(options, phones)
    for block in mono_blocks(sound):
        for begin in range(0, len(block), SAMPLES):
            piece = face.push(block[begin : begin + SAMPLES])
            if len(piece):
                yield piece
    last = face.flush()
    if len(last):
        yield last


def speaker(avatar: Avatar, voice: VoiceModel | None = None) -> Callable[[Motion], Motion]:
    """Returns what makes speech on the default head at rest the avatar's: about its neutral, within what it can show.

    Args:
        avatar: Who speaks.
        voice: The model that the speech came through, if any: it gives the person's own mouth, which is kept as it is.
    """
    still = torch.zeros(len(ARKIT))
    if voice is not None:
        still[list(MOUTH)] = rest_of(avatar).expression.float()[list(MOUTH)]
    start = Neutral(still, torch.zeros(len(heads.load(avatar.head).joints), 3), torch.eye(4))
    transfer = Transfer(avatar)
    return lambda motion: transfer(motion, start)


def _listener():
    from avatar3d.speech.listen import Listener

    return Listener()


def _frames(phones: PhoneTrack) -> int:
    return int(np.ceil(phones.duration * RATE - 1e-6))


def _taken(values: np.ndarray, start: int, count: int, rest: float) -> np.ndarray:
    """Returns `count` rows from `start`; beyond the end there is silence."""
    some = values[start : start + count]
    missing = count - len(some)
    if not missing:
        return some
    fill = np.full((missing, *values.shape[1:]), rest)
    if values.ndim == 2:
        fill[:, 0] = 1.0
    return np.concatenate([some, fill])
