"""Blinks and gaze as people have them, one frame at a time: seeded, causal, in constant memory."""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

_RATE_SPREAD = 0.6
"""Standard deviation of the logarithm of the pauses between blinks."""
_CLOSING, _CLOSED, _OPENING = (0.060, 0.100), (0.020, 0.050), (0.150, 0.250)
"""Seconds; bounds of what is drawn. Lids go down in less than a tenth of a second, and up in about twice that."""
_PARTIAL, _PARTIAL_DEPTH = 0.1, (0.55, 0.85)
"""Share of blinks that do not close the eye, and how far those go."""
_APART = 0.45
"""Seconds between the beginnings of two blinks, at least."""
_CUE_BLINKS, _CUE_DELAY = 0.45, (0.02, 0.25)
"""Share of phrase ends with a blink, and how long after the end it begins, seconds."""
_TRIGGERED = 0.85
"""Blinks at gaze shifts add to those of the clock, which therefore goes slower by this: the rate stays as asked."""

# Eyes Alive (Lee, Badler and Badler, SIGGRAPH 2002), measured on people in conversation: saccades away from the partner
# have amplitudes of 6.9 degrees on average (exponential, up to 27.5), take 25 ms and 2.4 ms for each degree, and prefer
# the cardinal directions (shares from 0 degrees, to the right, in steps of 45); glances away last 0.93 s.
_AMPLITUDE, _FARTHEST = 6.9, 27.5
_DURATION = (0.025, 0.0024)
_DIRECTIONS = (15.54, 6.46, 17.69, 7.44, 16.80, 7.89, 20.38, 7.79)
_AWAY = 0.93
_FIXATION = 0.8
"""Seconds that eyes rest on one part of the partner's face, on average; they go between its eyes and mouth."""
_FACE = (1.3, 1.0)
"""Spread of those points, degrees."""
_HEAD_SHARE, _HEAD_FROM, _HEAD_SECONDS = 0.3, 5.0, 0.4
"""A head follows a glance with this share of what is beyond so many degrees, in so many seconds."""


def eased(s: float) -> float:
    """Returns minimum-jerk progress in [0, 1] at `s`, clamped to [0, 1]."""
    s = min(max(s, 0.0), 1.0)
    return s * s * s * (10.0 + s * (6.0 * s - 15.0))


@dataclass
class _Blink:
    down: float  # when lids begin to go down, meet, part and are open again, seconds
    met: float
    parted: float
    up: float
    depth: float

    def at(self, t: float) -> float:
        if t <= self.down or t >= self.up:
            return 0.0
        if t < self.met:
            return self.depth * eased((t - self.down) / (self.met - self.down))
        if t <= self.parted:
            return self.depth
        u = (t - self.parted) / (self.up - self.parted)
        return self.depth * (1.0 - u) ** 3 * (1.0 + 3.0 * u)  # lids go up quickly at first and arrive slowly


class Blinks:
    """Closure of the lids in [0, 1] by frame. Pauses between blinks are log-normal; gaze shifts and cues add blinks."""

    def __init__(self, rate: float, fps: float, rng: np.random.Generator):
        self._mean = 60.0 / rate / _TRIGGERED if rate > 0 else math.inf
        self._fps, self._rng = fps, rng
        self._next = self._pause() * float(rng.uniform(0.2, 1.0))
        self._last = -math.inf
        self._live: deque[_Blink] = deque()

    def step(self, n: int, shift: float = 0.0, cues: int = 0, rest: bool = False) -> float:
        """Returns the closure at frame `n`; frames come in order.

        Args:
            n: Number of the frame.
            shift: Degrees by which the gaze begins to jump at this frame.
            cues: Phrase ends since the last frame.
            rest: Begin no blink at this frame.
        """
        t = n / self._fps
        if rest:
            shift, cues, self._next = 0.0, 0, max(self._next, t + 1e-9)
        # Evinger et al. (1994): the larger the gaze shift, the likelier a blink goes with it.
        if shift > 0 and float(self._rng.random()) < min(0.7, max(0.0, (shift - 4.0) / 25.0)):
            self._begin(t)
        for _ in range(cues):
            if float(self._rng.random()) < _CUE_BLINKS:
                self._begin(t + float(self._rng.uniform(*_CUE_DELAY)))
        while self._next <= t:
            self._begin(self._next)
        while self._live and self._live[0].up <= t:
            self._live.popleft()
        return max((blink.at(t) for blink in self._live), default=0.0)

    def _pause(self) -> float:
        if math.isinf(self._mean):
            return math.inf
        # The mean of a log-normal variable is exp(mu + sigma^2 / 2).
        mu = math.log(self._mean) - _RATE_SPREAD**2 / 2
        return max(_APART, float(self._rng.lognormal(mu, _RATE_SPREAD)))

    def _begin(self, onset: float) -> None:
        draws = self._rng.random(5)
        pause = self._pause()
        if math.isinf(self._mean) or onset - self._last < _APART:
            self._next = max(self._next, self._last + _APART + 1e-6)  # more than rounding can take away
            return
        closing, closed, opening = (
            low + (high - low) * float(x)
            for (low, high), x in zip((_CLOSING, _CLOSED, _OPENING), draws[:3], strict=True)
        )
        low, high = _PARTIAL_DEPTH
        depth = low + (high - low) * float(draws[4]) if float(draws[3]) < _PARTIAL else 1.0
        met = onset + closing
        # Lids stay together until a frame has seen it: otherwise every other blink would be a half one at 25 fps.
        parted = max(met + closed, math.ceil(met * self._fps) / self._fps + 1e-9)
        self._live.append(_Blink(onset, met, parted, parted + opening, depth))
        self._last, self._next = onset, onset + pause


@dataclass(frozen=True)
class Look:
    """Where eyes and head point at one frame: degrees, yaw to the head's left, pitch down."""

    yaw: float
    pitch: float
    head_yaw: float
    head_pitch: float
    shift: float
    """Degrees of the jump that begins at this frame; 0 if none does."""


class Gaze:
    """Saccades between a partner's face and elsewhere; the head follows far glances.

    `aims` says where the partner is from when on: (seconds, yaw, pitch) in order of time, degrees.
    """

    def __init__(
        self,
        away: float,
        amplitude: float,
        fps: float,
        rng: np.random.Generator,
        aims: Sequence[tuple[float, float, float]] = (),
    ):
        self._away, self._amplitude, self._fps, self._rng = away, amplitude, fps, rng
        self._aims = deque(aims)
        self._aim = (_Move(), _Move())
        self._eyes = (_Move(), _Move())
        self._head = (_Move(), _Move())
        self._elsewhere = False
        self._until = self._contact()
        self._next = float(rng.gamma(3.0, _FIXATION / 3.0))

    def step(self, n: int, home: bool = False) -> Look:
        """Returns the look at frame `n`; frames come in order.

        Args:
            n: Number of the frame.
            home: Look straight ahead from now on (a loop ends as it began).
        """
        t, shift = n / self._fps, 0.0
        if home:
            if self._eyes[0].goal or self._eyes[1].goal:
                shift = self._jump(t, 0.0, 0.0)
        elif self._amplitude > 0:
            if t >= self._until:
                self._elsewhere = not self._elsewhere
                if self._elsewhere:
                    shift = self._jump(t, *self._glance())
                    self._until = t + max(0.15, float(self._rng.gamma(1.6, _AWAY / 1.6)))
                else:
                    shift = self._jump(t, *self._on_face())
                    self._until = t + self._contact()
                self._next = t + max(0.2, float(self._rng.gamma(3.0, _FIXATION / 3.0)))
            elif t >= self._next:
                if not self._elsewhere:
                    shift = self._jump(t, *self._on_face())
                self._next = t + max(0.2, float(self._rng.gamma(3.0, _FIXATION / 3.0)))
        (yaw, pitch), (head_yaw, head_pitch) = ([move.at(t) for move in pair] for pair in (self._eyes, self._head))
        shift = max(shift, self._turn_to_aim(t))
        return Look(yaw + self._aim[0].at(t), pitch + self._aim[1].at(t), head_yaw, head_pitch, shift)

    def _turn_to_aim(self, t: float) -> float:
        """Moves the eyes to where the partner is now; returns by how many degrees."""
        size = 0.0
        while self._aims and self._aims[0][0] <= t:
            _, *goals = self._aims.popleft()
            size = math.hypot(*(goal - move.at(t) for goal, move in zip(goals, self._aim, strict=True)))
            for move, goal in zip(self._aim, goals, strict=True):
                move.go(t, goal, _DURATION[0] + _DURATION[1] * size)
        return size

    def _contact(self) -> float:
        if self._away <= 0:
            return math.inf
        return max(0.4, float(self._rng.gamma(1.6, _AWAY * (1 - self._away) / self._away / 1.6)))

    def _on_face(self) -> tuple[float, float]:
        yaw, pitch = self._rng.standard_normal(2)
        return tuple(  # type: ignore[return-value]
            self._amplitude * spread * min(max(float(x), -2.5), 2.5)
            for spread, x in zip(_FACE, (yaw, pitch), strict=True)
        )

    def _glance(self) -> tuple[float, float]:
        share, which, within = (float(x) for x in self._rng.random(3))
        size = min(_FARTHEST, max(2.5, -_AMPLITUDE * math.log(1 - share * 0.999)))
        cumulated = np.cumsum(_DIRECTIONS) / sum(_DIRECTIONS)
        angle = math.radians(45.0 * (int(np.searchsorted(cumulated, which)) + within - 0.5))
        # Eyes reach less far up and down than to the sides.
        return self._amplitude * size * math.cos(angle), -0.7 * self._amplitude * size * math.sin(angle)

    def _jump(self, t: float, yaw: float, pitch: float) -> float:
        size = math.hypot(yaw - self._eyes[0].at(t), pitch - self._eyes[1].at(t))
        for eye, head, goal in zip(self._eyes, self._head, (yaw, pitch), strict=True):
            eye.go(t, goal, _DURATION[0] + _DURATION[1] * size)
            beyond = max(0.0, abs(goal) - _HEAD_FROM)
            head.go(t, math.copysign(_HEAD_SHARE * beyond, goal), _HEAD_SECONDS)
        return size


class _Move:
    """A value that goes from where it is to a goal in a given time, with minimal jerk."""

    def __init__(self) -> None:
        self.goal = self._start = 0.0
        self._from, self._seconds = 0.0, 1.0

    def go(self, t: float, goal: float, seconds: float) -> None:
        self._start, self.goal, self._from, self._seconds = self.at(t), goal, t, seconds

    def at(self, t: float) -> float:
        return self._start + (self.goal - self._start) * eased((t - self._from) / self._seconds)
