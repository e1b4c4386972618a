"""Speech in many conditions as network inputs with labels: the second step of `train_phones.py`."""

import numpy as np
from scipy.signal import butter, fftconvolve, lfilter

from avatar3d.speech.front import Front
from avatar3d.speech.sound import RATE, resample

IGNORED = 255
"""Label of a frame that nobody is sure of."""
_PIECE = 1000  # frames, about, that are heard in one go from a cold start


def pieces(first: np.ndarray, count: int) -> list[tuple[int, int]]:
    """Returns spans of whole utterances of about ten seconds, in frames."""
    edges, spans, begin = [*first[1:].tolist(), count], [], 0
    for end in edges:
        if end - begin >= _PIECE:
            spans.append((begin, end))
            begin = end
    return spans


def heard(sound: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns (inputs, labels) of a piece, as the recogniser's front end hears it from a cold start."""
    front = Front()
    inputs = np.concatenate([front.push(sound).inputs, front.flush().inputs])
    count = min(len(inputs), len(labels)) // 2 * 2
    return inputs[:count], labels[:count]


def changed(sound: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns the piece by another voice, in another room, through another microphone, with noise, at another level."""
    if rng.random() < 0.6:  # longer or shorter vocal tract, and with it slower or faster speech
        rate = round(RATE * rng.uniform(0.86, 1.16))
        sound = resample(sound, RATE, rate)
        labels = labels[np.minimum(np.arange(len(sound) // 160) * RATE // rate, len(labels) - 1)]
    n = len(sound)
    if rng.random() < 0.8:  # a microphone: a random curve and a tilt, dB
        corners = np.array([0, 80, 250, 700, 1500, 3000, 5000, 8000])
        curve = rng.normal(0, 4, len(corners)) + np.linspace(0, 1, len(corners)) * rng.normal(0, 5)
        spectrum = np.fft.rfft(sound)
        spectrum *= 10 ** (np.interp(np.fft.rfftfreq(n, 1 / RATE), corners, curve) / 20)
        sound = np.fft.irfft(spectrum, n)
    if rng.random() < 0.35:  # a room
        length = int(rng.uniform(0.08, 0.45) * RATE)
        room = rng.normal(size=length) * np.exp(-6.9 * np.arange(length) / length)
        room[: int(0.002 * RATE)] = 0
        room *= rng.uniform(0.1, 0.6) / np.sqrt((room**2).sum() + 1e-9)
        room[0] = 1
        sound = fftconvolve(sound, room)[:n]
    if rng.random() < 0.15:  # a telephone or a codec
        above, below = butter(6, rng.uniform(3300, 7000) / (RATE / 2))  # type: ignore[misc]
        sound = np.asarray(lfilter(above, below, sound))
    if rng.random() < 0.65:
        sound = sound + noise(n, rng) * np.sqrt((sound**2).mean()) * 10 ** (-rng.uniform(8, 40) / 20)
    sound = sound / (np.abs(sound).max() + 1e-9) * 10 ** (rng.uniform(-28, -1) / 20)
    return sound.astype(np.float32), labels


def noise(count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns white to pink noise, root mean square 1; sometimes it swells and ebbs."""
    spectrum = np.fft.rfft(rng.normal(size=count))
    spectrum /= ((np.fft.rfftfreq(count, 1 / RATE) + 20) / 1000) ** rng.choice([0.0, rng.uniform(0, 1)])
    made = np.fft.irfft(spectrum, count)
    if rng.random() < 0.3:
        knots = rng.uniform(0.3, 1.5, max(count // 4000, 2))
        made *= np.interp(np.arange(count), np.linspace(0, count, len(knots)), knots)
    return made / made.std()
