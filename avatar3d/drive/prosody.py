"""Brows, lids and head that go with the melody and the loudness of speech; and the pauses where people blink.

An accent is where voice and pitch stand out of the speaker's own running means. Brows rise and the head nods with it;
the head also rises a little with the pitch of a whole phrase. All filters are causal and go from hop to hop, so that
blocks of any length give the bits of the whole; a fixed look-ahead makes up for their delay.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from avatar3d import heads
from avatar3d.core import AvatarError, Motion, first_of
from avatar3d.drive.rotations import composed
from avatar3d.speech.features import AudioFeatures
from avatar3d.speech.spectra import FPS as HOPS

_MEMORY = 4.0
"""Seconds over which the speaker's usual pitch and loudness are remembered."""
_LEAST_PITCH, _LEAST_LOUD = 1.5, 3.0
"""Semitones and decibels that count as one deviation at least: a monotone voice has no accents."""
_ACCENT_FROM, _ACCENT_MOST = 0.7, 2.0
_QUICK, _SLOW = 0.07, 0.35
"""Time constants in seconds of accents and of phrases; a gesture takes about four of them."""
_BROWS: Mapping[str, float] = {"browInnerUp": 0.24, "browOuterUpLeft": 0.16, "browOuterUpRight": 0.16}
_LIDS: Mapping[str, float] = {"eyeWideLeft": 0.10, "eyeWideRight": 0.10}
"""Weights at an accent of strength 1."""
_NOD, _LIFT, _TURN = 2.6, 1.1, 0.8
"""Degrees: down at an accent, up with a phrase's pitch, and the turn that goes with it to alternating sides."""
_SPEECH, _SILENCE = 0.5, 0.3
"""Activity from which somebody speaks, and below which nobody does."""
_SPOKEN, _PAUSE = 0.6, 0.2
"""Seconds of speech that make a phrase, and of silence that end it."""
_SHARES = {"neck": 0.4, "head": 0.6}


@dataclass(frozen=True)
class ProsodyOptions:
    """How strongly each region follows the voice; 0 for not at all."""

    brows: float = 1.0
    lids: float = 1.0
    head: float = 1.0
    lookahead: float = 0.1
    """Seconds of sound after a frame that it waits for; gestures come later by about 0.14 s less this."""


@dataclass(frozen=True)
class Accompanied:
    """A motion with the gestures of its speech."""

    motion: Motion
    cues: tuple[float, ...]
    """Seconds from the beginning at which a phrase ends; `life` blinks there."""


def accompany(
    motion: Motion, heard: AudioFeatures, options: ProsodyOptions = ProsodyOptions(), head: str = "anny"
) -> Accompanied:
    """Returns the motion with brows, lids and nods that follow the voice.

    Args:
        motion: What the mouth does; it begins where the sound does.
        heard: Features of the sound.
        options: Strengths.
        head: Name of the head model that the motion's joints belong to.

    Raises:
        AvatarError: A strength out of range.
    """
    prosody = Prosody(motion.fps, options, head)
    prosody.push(heard)
    prosody.finish()
    return prosody(motion)


class Prosody:
    """Follows a voice that comes in blocks: push features, then pass the frames that are `ready` through it."""

    def __init__(self, fps: float, options: ProsodyOptions = ProsodyOptions(), head: str = "anny"):
        for name in ("brows", "lids", "head"):
            if not 0 <= getattr(options, name) <= 5:
                raise AvatarError(f"prosody: {name} is {getattr(options, name)}; give a strength from 0 to 5")
        if not 0 <= options.lookahead <= 1:
            raise AvatarError(f"prosody: lookahead is {options.lookahead} s; give 0 to 1")
        self._fps, self._options = fps, options
        self._joints = heads.load(head).joints
        self._state = _Voice()
        self._kept: deque[_Gesture] = deque()
        self._first = self._hops = self._n = 0
        self._cues: deque[float] = deque()
        self._ended = False

    def push(self, heard: AudioFeatures) -> None:
        """Takes the next hops of the sound."""
        rows = (heard.activity, heard.intensity, heard.f0)
        for activity, loud, pitch in zip(*(np.asarray(x, np.float64).tolist() for x in rows), strict=True):
            self._step(activity, loud, pitch)

    def finish(self) -> None:
        """Says that the sound is over; frames beyond it hear silence."""
        self._ended = True

    @property
    def ready(self) -> int:
        """Frames that can be passed now, counted from the beginning."""
        if self._ended:
            return 1 << 62
        reach = (self._hops - 1) / HOPS - self._options.lookahead
        return max(0, math.floor(reach * self._fps + 1e-9) + 1) if self._hops else 0

    def __call__(self, motion: Motion) -> Accompanied:
        """Returns the next frames with gestures.

        Raises:
            AvatarError: The sound for them has not come yet.
        """
        if self._n + len(motion) > self.ready:
            raise AvatarError(f"prosody: frame {self._n + len(motion)} needs sound that has not come; push it first")
        expression = motion.pose.expression.double().numpy().copy()
        joints = motion.pose.joints.double().numpy().copy()
        o = self._options
        raised = [
            (first_of(motion.names, name), gain * strength)
            for gains, strength in ((_BROWS, o.brows), (_LIDS, o.lids))
            for name, gain in gains.items()
            if strength > 0
        ]
        cues: list[float] = []
        for i in range(len(motion)):
            gesture = self._at(self._n / self._fps + o.lookahead)
            for column, gain in raised:
                expression[i, column] = min(1.0, expression[i, column] + gain * gesture.accent)
            pitch = o.head * (_NOD * gesture.accent - _LIFT * gesture.phrase)
            yaw = o.head * _TURN * gesture.turn
            if pitch or yaw:
                self._nod(joints[i], pitch, yaw)
            self._n += 1
        end = (self._n - 1) / self._fps
        while self._cues and self._cues[0] <= end:
            cues.append(self._cues.popleft())
        like = motion.pose.expression
        pose = replace(
            motion.pose,
            expression=torch.from_numpy(expression).to(like),
            joints=torch.from_numpy(joints).to(like),
        )
        return Accompanied(replace(motion, pose=pose), tuple(cues))

    def _nod(self, joints: np.ndarray, pitch: float, yaw: float) -> None:
        for name, share in _SHARES.items():
            if name in self._joints:
                j = self._joints.index(name)
                joints[j] = composed([math.radians(share * pitch), math.radians(share * yaw), 0.0], joints[j].tolist())

    def _step(self, activity: float, loud: float, pitch: float) -> None:
        gesture, ended = self._state.step(activity, loud, pitch)
        if ended:
            self._cues.append(max(0.0, self._hops / HOPS - self._options.lookahead))
        self._kept.append(gesture)
        self._hops += 1

    def _at(self, seconds: float) -> "_Gesture":
        """Returns the gesture at a time, from the hops around it; the ones before are forgotten."""
        place = seconds * HOPS
        low = math.floor(place + 1e-9)
        while low + 1 >= self._hops and self._ended:
            self._step(0.0, -100.0, 0.0)
        while self._first < low and len(self._kept) > 1:
            self._kept.popleft()
            self._first += 1
        share = min(max(place - low, 0.0), 1.0)
        a, b = self._kept[0], self._kept[min(1, len(self._kept) - 1)]
        if share < 1e-6:
            return a
        return _Gesture(*(x + share * (y - x) for x, y in zip(a.values, b.values, strict=True)))


@dataclass(frozen=True)
class _Gesture:
    accent: float = 0.0
    phrase: float = 0.0
    turn: float = 0.0

    @property
    def values(self) -> Sequence[float]:
        return self.accent, self.phrase, self.turn


class _Voice:
    """What a speaker's usual pitch and loudness are, and how the last hop stands out of them."""

    def __init__(self) -> None:
        self._pitch, self._loud = _Usual(_LEAST_PITCH), _Usual(_LEAST_LOUD)
        self._accent, self._phrase, self._turn = _Follow(_QUICK), _Follow(_SLOW), _Follow(_SLOW)
        self._spoken = self._silent = 0.0
        self._side = 1.0

    def step(self, activity: float, loud: float, pitch: float) -> tuple[_Gesture, bool]:
        """Returns the gesture of this hop, and whether a phrase has just ended."""
        speaks, accent, height = activity >= _SPEECH, 0.0, 0.0
        if speaks:
            out = 0.5 * self._loud.step(loud)
            if pitch > 0:
                height = self._pitch.step(12 * math.log2(pitch / 100))
                out += 0.7 * height
            accent = min(_ACCENT_MOST, max(0.0, out - _ACCENT_FROM))
        ended = self._pause(activity)
        if ended:
            self._side = -self._side
        height = min(max(height, -1.5), 1.5)
        gesture = _Gesture(
            self._accent.step(accent), self._phrase.step(height), self._turn.step(self._side if speaks else 0.0)
        )
        return gesture, ended

    def _pause(self, activity: float) -> bool:
        if activity >= _SPEECH:
            self._spoken, self._silent = self._spoken + 1 / HOPS, 0.0
            return False
        if activity >= _SILENCE or self._spoken < _SPOKEN:
            return False
        self._silent += 1 / HOPS
        if self._silent < _PAUSE:
            return False
        self._spoken = self._silent = 0.0
        return True


class _Usual:
    """Running mean and deviation of a voice; the first second counts for more, later ones for less and less."""

    def __init__(self, least: float):
        self._least, self._mean, self._spread, self._seen = least, 0.0, least, 0

    def step(self, value: float) -> float:
        """Returns how many deviations the value is above the mean before it joins them."""
        self._seen += 1
        rate = max(1 / (_MEMORY * HOPS), 1 / self._seen)
        away = value - self._mean if self._seen > 1 else 0.0
        self._mean += rate * (value - self._mean)
        self._spread += max(1 / (_MEMORY * HOPS), 1 / (self._seen + 50)) * (1.25 * abs(away) - self._spread)
        return away / max(self._least, self._spread)


class _Follow:
    """A critically damped spring: smooth, and without overshoot."""

    def __init__(self, seconds: float):
        self._k = 1 - math.exp(-1 / (seconds * HOPS))
        self._a = self._b = 0.0

    def step(self, goal: float) -> float:
        self._a += self._k * (goal - self._a)
        self._b += self._k * (self._a - self._b)
        return self._b if abs(self._b) > 1e-9 else 0.0
