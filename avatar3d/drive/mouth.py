"""Phones to the mouth: visemes blended by coarticulation, the jaw fused with what is heard, closures guaranteed.

    motion = mouth(track, features(sound))

Everything is reckoned at 100 frames a second, each frame from a window of its neighbours, so that a stream gives the
numbers of the whole file (`Mouth`), with a delay of `MouthOptions.look_ahead`.
"""

from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Float

from avatar3d import heads
from avatar3d.core import AvatarError, Motion, Pose
from avatar3d.drive import jaw
from avatar3d.drive.shapes import CHANNELS, GROUP_OF, GROUPS, columns, tables
from avatar3d.heads.arkit import ARKIT
from avatar3d.speech.features import AudioFeatures
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.visemes import SILENCE, VISEMES

RATE = 100
"""Frames a second that visemes and features are given in."""
_REACH = 0.3
"""Seconds before and after that a viseme is felt at all."""
_PP, _FF, _SS, _CH, _SIL = (VISEMES.index(v) for v in ("PP", "FF", "SS", "CH", SILENCE))

_SURE = (0.1, 0.3)
"""Probabilities of a lip closure between which it goes from not made to made."""
_HOLD = 0.005
"""Seconds by which a closure is held longer on each side: at 25 fps one frame falls into even the shortest."""
_RAMP = 0.045
"""Seconds in which the lips close and open again: lips move at up to 20 cm/s, jaw and lips share some 8 mm."""
_CLOSED_JAW = 0.06
"""ARKit's jawOpen in closures of iPhone captures."""
_SPEECH = 2.0
"""Where at least 1 / this of what is felt is no silence, what is heard moves the jaw in full."""
_PIECE = 2000
"""Frames reckoned at a time: bounds memory."""
_PARTED = 0.05
"""Least jaw opening in sounds that are made with parted lips: a dip of what is heard must not look like a closure."""
_ROOM = 0.22
"""Jaw opening for each unit of tongueOut at least: between the teeth there has to be room."""
_SIBILANT_JAW = 0.07
"""Highest jaw opening in s, z, sh: the teeth nearly meet."""


@dataclass(frozen=True)
class MouthOptions:
    """How the mouth follows speech. Strengths are factors: 1 as in a calm conversation, 0 not at all."""

    fps: float = 30.0
    """Frames a second of the motion."""
    strength: float = 1.0
    """Of everything but closures."""
    jaw: float = 1.0
    """Strength of the jaw."""
    lips: float = 1.0
    """Strength of opening and widening lips."""
    rounding: float = 1.0
    """Strength of pursed and rounded lips."""
    tongue: float = 1.0
    """Strength of the tongue."""
    closure: float = 1.0
    """How sharply lips close in p, b, m and meet the teeth in f, v: 2 is twice as quick, 0 leaves it to chance."""
    heard: float = 0.9
    """How much of the jaw comes from the sound (`avatar3d.drive.jaw`), the rest from phones; 0 to 1."""
    look_ahead: float = _REACH
    """Seconds of future that a frame may use, 0 to 0.3: the delay in a stream."""

    def check(self) -> None:
        """Raises an `AvatarError` that names the option that is out of range."""
        if not 1 <= self.fps <= 1000:
            raise AvatarError(f"fps is {self.fps}; expected 1 to 1000")
        for f in fields(self):
            value = getattr(self, f.name)
            high = {"heard": 1.0, "look_ahead": _REACH, "fps": 1000.0}.get(f.name, 4.0)
            if not 0 <= value <= high:
                raise AvatarError(f"{f.name} is {value}; expected 0 to {high:g}")


def mouth(
    track: PhoneTrack, heard: AudioFeatures | None = None, options: MouthOptions = MouthOptions(), head: str = "anny"
) -> Motion:
    """Returns how the mouth moves when the phones are spoken; the rest of the face is at rest.

    Args:
        track: Who speaks which phones when, as segments or posteriors.
        heard: Features of the same sound; without them the jaw follows the phones alone.
        options: Strengths, frame rate, look-ahead.
        head: Name of the head model whose joints the motion has.

    Raises:
        AvatarError: An option is out of range.
    """
    stream = Mouth(options)
    visemes = track.visemes(RATE)
    if heard is not None:
        heard = _fitted(heard, len(visemes))
    first = stream.push(visemes, heard, strengths(track, len(visemes)))
    return as_motion(np.concatenate([first, stream.flush()]), options.fps, head)


class Mouth:
    """The mouth of a stream: push viseme frames, get frames of ARKit weights, flush at the end."""

    def __init__(self, options: MouthOptions = MouthOptions()):
        options.check()
        self._options = options
        self._ahead = round(options.look_ahead * RATE)
        self._behind = round(_REACH * RATE)
        self._kernel = _kernel(self._behind, self._ahead)
        self._tables = tables()
        quiet = np.zeros((self._behind, len(VISEMES)))
        quiet[:, _SIL] = 1.0
        self._visemes = quiet
        self._strength = np.ones(self._behind)
        self._level = jaw.Level()
        self._bands = np.full((self._behind, jaw.BANDS), jaw.QUIET)
        self._known = np.zeros(self._behind, bool)  # whether there are features of a frame
        self._done = 0  # frames at `RATE` that came out
        self._pushed = 0
        self._last = np.zeros((0, len(ARKIT)))  # the newest frame, for interpolation
        self._given = 0  # frames at `fps` that came out

    @property
    def delay(self) -> float:
        """Seconds between a frame of visemes and the motion that it is the last one needed for."""
        return self._ahead / RATE

    def push(
        self,
        visemes: Float[np.ndarray, "t 15"],
        heard: AudioFeatures | None = None,
        strength: Float[np.ndarray, " t"] | None = None,
    ) -> Float[np.ndarray, "m 52"]:
        """Returns the frames (at `fps`) that are complete with these.

        Args:
            visemes: Probabilities at 100 frames a second.
            heard: Features of the same frames.
            strength: How carefully they are spoken, 1 as usual.
        """
        if heard is not None and len(heard) != len(visemes):
            raise AvatarError(f"{len(visemes)} frames of visemes come with {len(heard)} frames of features")
        self._pushed += len(visemes)
        count = len(visemes)
        bands = np.full((count, jaw.BANDS), jaw.QUIET) if heard is None else self._level.push(heard.mel)
        return self._came(
            visemes, np.ones(count) if strength is None else strength, bands, np.full(count, heard is not None)
        )

    def flush(self) -> Float[np.ndarray, "m 52"]:
        """Returns the frames of the end: ceil(seconds * fps) in all."""
        quiet = np.zeros((self._ahead, len(VISEMES)))
        quiet[:, _SIL] = 1.0
        bands = np.full((self._ahead, jaw.BANDS), jaw.QUIET)
        out = [self._came(quiet, np.ones(self._ahead), bands, np.zeros(self._ahead, bool))]
        missing = int(np.ceil(self._pushed * self._options.fps / RATE - 1e-9)) - self._given
        if missing > 0 and len(self._last):
            out.append(np.repeat(self._last, missing, 0))
            self._given += missing
        return np.concatenate(out)

    def _came(self, visemes: np.ndarray, strength: np.ndarray, bands: np.ndarray, known: np.ndarray) -> np.ndarray:
        self._visemes = np.concatenate([self._visemes, visemes])
        self._strength = np.concatenate([self._strength, strength])
        self._bands = np.concatenate([self._bands, bands])
        self._known = np.concatenate([self._known, known])
        count = len(self._visemes) - self._behind - self._ahead
        if count <= 0:
            return np.zeros((0, len(ARKIT)))
        made = np.concatenate([self._made(at, min(_PIECE, count - at)) for at in range(0, count, _PIECE)])
        self._visemes, self._strength = self._visemes[count:], self._strength[count:]
        self._bands, self._known = self._bands[count:], self._known[count:]
        return self._at_fps(made)

    def _made(self, at: int, count: int) -> np.ndarray:
        """Returns `count` frames at `RATE` from what is held, the first of which lies `behind` frames after `at`."""
        t, o = self._tables, self._options
        first = at + self._behind
        felt = np.zeros((count, len(VISEMES), len(GROUPS)))
        for tap in range(self._behind + self._ahead + 1):  # a fixed order of sums: the same bits for any block
            felt += self._visemes[at + tap : at + tap + count, :, None] * self._kernel[tap]
        felt *= t.insistence
        by_channel = felt[:, :, GROUP_OF]
        shape = (by_channel * t.targets).sum(1) / np.maximum(by_channel.sum(1), 1e-9)
        gain = self._smoothed(self._strength, first, count)[:, None] * o.strength
        if o.heard:
            known = self._known[first : first + count]
            if known.any():
                speech = 1 - felt[:, _SIL, 0] / np.maximum(felt[:, :, 0].sum(1), 1e-9)
                heard = jaw.opening(jaw.windows(self._bands, first, count, self._ahead))
                heard *= np.clip(_SPEECH * speech, 0.0, 1.0)
                shape[:, 0] = np.where(known, (1 - o.heard) * shape[:, 0] + o.heard * heard, shape[:, 0])
        shape *= gain * np.array([o.jaw, o.rounding, o.lips, o.lips, o.tongue])[GROUP_OF]
        return _face(self._contacts(shape, first, count))

    def _contacts(self, shape: np.ndarray, first: int, count: int) -> dict[str, np.ndarray]:
        """Returns channels in which lips touch where they must and teeth nearly meet where they must."""
        made = {name: shape[:, at].copy() for at, name in enumerate(CHANNELS)}
        sharp = self._options.closure
        made["jawOpen"] = np.maximum(made["jawOpen"], _ROOM * min(self._options.jaw, 1.0) * made["tongueOut"])
        now = self._visemes[first : first + count]
        apart = np.clip(1 - now[:, _PP] - now[:, _FF] - 2 * now[:, _SIL], 0.0, 1.0)
        made["jawOpen"] = np.maximum(made["jawOpen"], _PARTED * min(self._options.jaw, 1.0) * apart)
        sibilant = np.clip(now[:, _SS] + now[:, _CH], 0.0, 1.0)
        made["jawOpen"] = np.minimum(made["jawOpen"], (1 - sibilant) * 1.0 + sibilant * _SIBILANT_JAW)
        if not sharp:
            return made
        teeth = self._reached(_FF, first, count)
        target = dict(zip(CHANNELS, self._tables.targets[_FF], strict=True))
        for name in ("jawOpen", "mouthLowerDown", "mouthUpperUp", "mouthRollLower", "mouthShrugUpper"):
            made[name] = (1 - teeth) * made[name] + teeth * target[name]
        made["mouthFunnel"] = (1 - 0.8 * teeth) * made["mouthFunnel"]
        lips = self._reached(_PP, first, count)
        made["jawOpen"] = made["jawOpen"] - lips * np.maximum(made["jawOpen"] - _CLOSED_JAW, 0.0)
        for name in ("mouthLowerDown", "mouthUpperUp", "mouthFunnel", "mouthShrugUpper", "tongueOut"):
            made[name] = (1 - lips) * made[name]
        for name in ("mouthSmile", "mouthStretch", "mouthPucker"):
            made[name] = (1 - 0.5 * lips) * made[name]
        for name in ("mouthRollLower", "mouthRollUpper"):
            made[name] = (1 - lips) * made[name] + lips * 0.06
        made["mouthPress"] = 0.05 * lips
        made["mouthClose"] = lips * made["jawOpen"]
        return made

    def _reached(self, viseme: int, first: int, count: int) -> np.ndarray:
        """Returns how far a contact is made, 0 to 1: held while the viseme is likely and a little longer."""
        low, high = _SURE
        begin, behind = first - self._behind, self._behind
        near = self._visemes[begin : first + count + self._ahead, viseme]
        sure = np.clip((near - low) / (high - low), 0.0, 1.0)
        sure = sure * sure * (3 - 2 * sure)
        ramp, hold = _RAMP / self._options.closure, _HOLD
        reach = int(np.ceil((ramp + hold) * RATE))
        out = np.zeros(count)
        for shift in range(-min(reach, self._ahead), reach + 1):
            past = np.clip((abs(shift) / RATE - hold) / ramp, 0.0, 1.0)
            weight = 0.5 + 0.5 * np.cos(np.pi * past)
            if weight > 0 and shift <= self._behind:
                out = np.maximum(out, weight * sure[behind - shift : behind - shift + count])
        return out

    def _smoothed(self, values: np.ndarray, first: int, count: int) -> np.ndarray:
        """Returns a mean over 110 ms (less where the look-ahead is shorter)."""
        taps = range(-min(5, self._ahead), 6)
        total = np.zeros(count)
        for s in taps:
            total += values[first - s : first - s + count]
        return total / len(taps)

    def _at_fps(self, made: np.ndarray) -> np.ndarray:
        """Returns the motion's frames that lie at or before the newest frame at `RATE`."""
        held = np.concatenate([self._last, made])
        begin = self._done - len(self._last)  # number of the first held frame
        self._done += len(made)
        step = RATE / self._options.fps
        last = int(np.floor((self._done - 1) / step + 1e-9))
        at = np.arange(self._given, last + 1) * step - begin
        self._last = held[-1:]
        if not len(at):
            return np.zeros((0, len(ARKIT)))
        self._given = last + 1
        low = np.clip(np.floor(at + 1e-9).astype(int), 0, len(held) - 1)
        high = np.minimum(low + 1, len(held) - 1)
        share = np.clip(at - low, 0.0, 1.0)[:, None]
        return held[low] * (1 - share) + held[high] * share


def strengths(track: PhoneTrack, count: int) -> Float[np.ndarray, " t"]:
    """Returns the strength of the phone spoken in each of `count` frames at 100 a second; 1 in pauses."""
    out = np.ones(count)
    for p in track.phones:
        out[round(p.start * RATE) : max(round(p.end * RATE), round(p.start * RATE) + 1)] = p.strength
    return out


def as_motion(weights: Float[np.ndarray, "t 52"], fps: float | int, head: str = "anny") -> Motion:
    """Returns ARKit weights as a motion with the head at rest."""
    count = len(weights)
    pose = Pose(
        expression=torch.from_numpy(weights.astype(np.float32)),
        joints=torch.zeros(count, len(heads.load(head).joints), 3),
        root=torch.eye(4).repeat(count, 1, 1),
    )
    return Motion(pose, float(fps), ARKIT)


def _face(made: dict[str, np.ndarray]) -> np.ndarray:
    out = np.zeros((len(made["jawOpen"]), len(ARKIT)))
    for name, values in made.items():
        out[:, columns(name)] = np.clip(values, 0.0, 1.0)[:, None]
    return out


def _kernel(behind: int, ahead: int) -> Float[np.ndarray, "k g"]:
    """Returns how much a viseme is felt by tap: from `behind` frames ago to `ahead` frames from now."""
    t = tables()
    lag = np.arange(-behind, ahead + 1)[:, None] / RATE  # seconds from now to the viseme
    return np.where(lag > 0, np.exp(-t.fall_before * lag), np.exp(t.fall_after * lag))


def _fitted(heard: AudioFeatures, count: int) -> AudioFeatures:
    """Returns features cut or prolonged (by their last frame) to `count` frames."""
    if len(heard) >= count:
        return heard[:count]
    from avatar3d.speech.features import joined

    return joined([heard, *[heard[len(heard) - 1 :]] * (count - len(heard))])
