"""Sound to phones without a transcript: what is probably said, 130 ms after it was, in any language.

track = listen(read_sound("speech.wav"))         # a PhoneTrack with posteriors of the 15 visemes
listener = Listener()                            # the same for a stream of blocks at 16 kHz
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from avatar3d.core import AvatarError
from avatar3d.speech import front, spectra
from avatar3d.speech.front import Front, Heard
from avatar3d.speech.hmm import LAG, Loop, state_visemes
from avatar3d.speech.net import AHEAD, Net
from avatar3d.speech.phones import PhoneTrack
from avatar3d.speech.sound import RATE, Sound, SoundFile, mono_blocks
from avatar3d.speech.spectra import grouped
from avatar3d.speech.visemes import VISEMES

FPS = spectra.FPS
"""Frames of posteriors a second."""

_LOOP_POWER, _NET_POWER = 1.0, 0.8  # of the two experts; by the development half, clean and with noise


@dataclass(frozen=True)
class ListenOptions:
    """How sound is understood."""

    english: float = 0.8
    """How much the sequence of phones is expected to be English, 0 to 1; what is not English suffers little by 0.8."""


class Listener:
    """Visemes of a stream at 16 kHz: push blocks, get frames, flush at the end; a file gives the same bits."""

    delay = front.DELAY + LAG / FPS
    """Seconds from a frame's centre until the frame is known: 123 ms. The network is ready 20 ms before."""

    def __init__(self, options: ListenOptions | None = None):
        options = options or ListenOptions()
        if not 0 <= options.english <= 1:
            raise AvatarError(f"english is {options.english}; expected a share from 0 to 1")
        self._front = Front()
        self._loop = Loop(options.english)
        self._net = Net()
        self._early = AHEAD  # answers of the network that come before it has heard anything
        self._read = 0
        self._last = np.zeros((1, front.INPUTS), np.float32)
        self._looped = np.zeros((0, len(VISEMES)))
        self._netted = np.zeros((0, len(VISEMES)))

    def push(self, block: Float[np.ndarray, " a"]) -> Float[np.ndarray, "t 15"]:
        """Returns the posteriors of the frames that are known with this block, in the order of `VISEMES`."""
        self._take(self._front.push(block))
        return self._give()

    def flush(self) -> Float[np.ndarray, "t 15"]:
        """Returns the frames of the end: ceil(100 * seconds) in all."""
        self._take(self._front.flush())
        self._looped = np.concatenate([self._looped, grouped(self._loop.flush(), state_visemes())])
        self._answer(np.repeat(self._last, 2 * AHEAD + self._read % 2, 0))
        return self._give()

    def _take(self, heard: Heard) -> None:
        if not len(heard):
            return
        self._read += len(heard)
        self._last = heard.inputs[-1:]
        self._looped = np.concatenate([self._looped, grouped(self._loop.push(heard.scores), state_visemes())])
        self._answer(heard.inputs)

    def _answer(self, inputs: np.ndarray) -> None:
        odds = self._net.push(inputs)
        late, self._early = min(self._early, len(odds)), max(self._early - len(odds), 0)
        self._netted = np.concatenate([self._netted, np.repeat(odds[late:].astype(np.float64), 2, 0)])

    def _give(self) -> np.ndarray:
        count = min(len(self._looped), len(self._netted))
        fused = _fused(self._looped[:count], self._netted[:count])
        self._looped, self._netted = self._looped[count:], self._netted[count:]
        return fused


def _fused(looped: Float[np.ndarray, "t 15"], netted: Float[np.ndarray, "t 15"]) -> Float[np.ndarray, "t 15"]:
    """Returns the product of two experts: the loop's posteriors and the network's log odds, each to its power."""
    odds = _LOOP_POWER * np.log(looped + 1e-6) + _NET_POWER * _log_softmax(netted)
    return np.exp(_log_softmax(odds)).astype(np.float32)


def _log_softmax(odds: np.ndarray) -> np.ndarray:
    odds = odds - odds.max(1, keepdims=True)
    return odds - np.log(np.exp(odds).sum(1, keepdims=True))


def listen_blocks(sound: Sound | SoundFile | Path | str, options: ListenOptions | None = None) -> Iterator[np.ndarray]:
    """Yields the posteriors (t, 15) of a sound in pieces of ten seconds at most, in bounded memory.

    Raises:
        AvatarError: The file cannot be read as sound, or an option is out of range.
    """
    listener = Listener(options)
    for block in mono_blocks(sound):
        for begin in range(0, len(block), 10 * RATE):
            yield listener.push(block[begin : begin + 10 * RATE])
    yield listener.flush()


def listen(sound: Sound | SoundFile | Path | str, options: ListenOptions | None = None) -> PhoneTrack:
    """Returns what is probably said, as posteriors of the visemes at 100 frames a second.

    Args:
        sound: A sound of any rate and length, or a file. Silence and sound that is no speech come out as silence for
            the most part.
        options: How it is understood.

    Raises:
        AvatarError: The file cannot be read as sound, it holds not one sample, or an option is out of range.
    """
    posteriors = np.concatenate([np.zeros((0, len(VISEMES)), np.float32), *listen_blocks(sound, options)])
    if not len(posteriors):
        raise AvatarError("the sound holds not one sample; give one that lasts longer")
    seconds = sound.seconds if isinstance(sound, Sound) else len(posteriors) / FPS
    return PhoneTrack(seconds, posteriors=posteriors, rate=float(FPS), source="acoustic")
