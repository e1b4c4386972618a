"""How one person's mouth moves: learnt in seconds from a tracked clip of them, as a change of the general model.

The general mouth and what is heard (loudness, first formant, voicing) give the person's own weights by ridge
regression: with seconds of speech there is no room for more numbers than that. Its strength is chosen by leaving out a
fifth of the clip at a time. Where the clip's sound lags behind its pictures, or runs ahead, that is found first.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from avatar3d import heads
from avatar3d.core import AvatarError, Motion
from avatar3d.drive.mouth import RATE, Mouth, MouthOptions
from avatar3d.files import write_bytes
from avatar3d.heads.arkit import ARKIT
from avatar3d.speech.features import AudioFeatures, features
from avatar3d.speech.listen import listen
from avatar3d.speech.sound import Sound

MOUTH: tuple[int, ...] = tuple(i for i, n in enumerate(ARKIT) if n.startswith(("jaw", "mouth", "tongue", "cheekPuff")))
"""Columns that are learnt."""
_OPENINGS = [
    k for k, i in enumerate(MOUTH) if ARKIT[i].startswith(("jawOpen", "mouthLowerDown", "mouthUpperUp", "mouthFunnel"))
]
"""Among them, those that part the lips."""
_HEARD = 3
"""Numbers of a frame of sound: loudness, first formant, voicing."""
_SCALE = 3.0
"""Weights of the general mouth go to .3 in speech, what is heard to 1: this makes them count alike."""
_STRENGTHS = (0.02, 0.06, 0.2, 0.6, 2.0, 6.0)
"""Ridge strengths tried, for each frame."""
_FOLDS = 5
_LEAST = 50
"""Frames below which nothing is learnt: two seconds."""
_PAUSES = 5
"""Frames of silence in the clip below which the person's rest stands for their pauses."""
_LAG, _LAG_GAIN = 0.3, 0.08
"""Seconds to each side that the sound may be off, and how much better it must fit there to be moved."""
_QUIET = (0.85, 0.98)
"""Share of silence around a frame between which the mouth goes to the person's pause."""
_AROUND = (100, 25)
"""Frames before and after that share is taken of: in the short pauses of speech, mouths do as the regression says."""
_PRESSED = 0.05
"""The general mouth's mouthPress in a closure: how far lips are closed by intent."""
_FORMAT = "avatar3d-voice"


@dataclass(frozen=True)
class VoiceModel:
    """One person's mouth."""

    weights: Float[np.ndarray, "i m"]
    """From the general mouth and what is heard to the person's mouth."""
    centre: Float[np.ndarray, " i"]
    mean: Float[np.ndarray, " m"]
    """The person's mouth in speech, on the whole."""
    rest: Float[np.ndarray, " m"]
    """When lips meet."""
    pause: Float[np.ndarray, " m"]
    """In pauses: not everybody closes their lips there."""
    high: Float[np.ndarray, " m"]
    """The most that the clip showed."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """JSON-able: clip, seconds, sound's offset, ridge strength, scores."""

    def __call__(
        self, general: Float[np.ndarray, "t 52"], heard: Float[np.ndarray, "t 3"], silence: Float[np.ndarray, " t"]
    ) -> Float[np.ndarray, "t 52"]:
        """Returns the person's weights for those of the general mouth.

        Args:
            general: ARKit weights of the same frames.
            heard: What `Heard` says of them.
            silence: Probability that nobody speaks.
        """
        out = general.copy()
        own = np.clip(self.mean + (_inputs(general, heard) - self.centre) @ self.weights, 0.0, self.high)
        low, high = _QUIET
        quiet = np.clip((silence - low) / (high - low), 0, 1)[:, None]
        own = (1 - quiet) * own + quiet * self.pause
        # A ridge shrinks what is rare, and closures are: lips that are to meet do meet, whatever else the mouth does.
        shut = np.clip(general[:, ARKIT.index("mouthPressLeft")] / _PRESSED, 0, 1)[:, None]
        closed = own.copy()
        closed[:, _OPENINGS] = np.minimum(own[:, _OPENINGS], self.rest[_OPENINGS])
        out[:, MOUTH] = (1 - shut) * own + shut * closed
        return out


def learn(motion: Motion, sound: Sound, rest: Float[np.ndarray, " e"], train: Bool[np.ndarray, " t"]) -> VoiceModel:
    """Returns the person's mouth.

    Args:
        motion: As tracked in the clip, on the default head.
        sound: Of the clip, beginning with its first frame.
        rest: The person's weights when nothing happens (`motions.neutral.neutral_of`).
        train: Frames to learn from.

    Raises:
        AvatarError: Too few frames, silence, or another head's expressions.
    """
    if motion.names != ARKIT:
        raise AvatarError("voice: the motion is not on the default head; track the clip anew")
    if train.sum() < _LEAST:
        raise AvatarError(f"voice: {int(train.sum())} frames to learn from; {_LEAST} or more are needed (two seconds)")
    said = _said(sound)
    truth = motion.pose.expression.double().numpy()
    times = np.arange(len(truth)) / motion.fps
    lag = _lag(said, truth, times, train)
    x, silence = _inputs(*said.at(times + lag)[:2]), said.at(times + lag)[2]
    y = truth[:, MOUTH]
    spoken = train & (silence < _QUIET[1])
    if spoken.sum() < _LEAST:
        raise AvatarError("voice: hardly any speech in the clip's sound; give one in which the person talks")
    errors = [_left_out(x, y, spoken, strength) for strength in _STRENGTHS]
    best = int(np.argmin(errors))
    weights, centre, mean = _ridge(x[spoken], y[spoken], _STRENGTHS[best])
    about = {
        "frames": int(train.sum()),
        "seconds": round(float(train.sum() / motion.fps), 2),
        "offset_ms": round(1000 * lag),
        "strength": _STRENGTHS[best],
        "left_out_error": round(errors[best], 5),
        "left_out_error_of_mean": round(_left_out(x, y, spoken, 1e9), 5),
    }
    calm = rest[list(MOUTH)].astype(np.float64)
    pauses = train & (silence >= _QUIET[0])
    pause = y[pauses].mean(0) if pauses.sum() >= _PAUSES else calm
    return VoiceModel(weights, centre, mean, calm, pause, y[train].max(0), about)


def compare(
    model: VoiceModel, motion: Motion, sound: Sound, held: Bool[np.ndarray, " t"], general_rest: Float[np.ndarray, " e"]
) -> dict[str, Any]:
    """Returns how far mouths are from the tracked one in held-out frames: the general model's and the person's.

    The distance is that between vertices of the lips on the default head in millimetres, mean over vertices and
    frames.
    The general model speaks about the person's neutral, as `drive` lets it; both hear the sound where it belongs.

    Args:
        model: As learnt from other frames.
        motion: As tracked.
        sound: Of the clip.
        held: Frames to compare.
        general_rest: The person's neutral.
    """
    said = _said(sound)
    times = np.arange(len(motion)) / motion.fps
    found = {}
    for name, lag in (("general_unaligned_mm", 0.0), ("general_mm", model.about.get("offset_ms", 0) / 1000)):
        general = said.at(times + lag)[0]
        moved = general.copy()
        moved[:, MOUTH] = np.clip(general[:, MOUTH] + general_rest[list(MOUTH)], 0, 1)
        found[name] = mouth_distance(moved[held], motion.pose.expression.double().numpy()[held])
    parts = said.at(times + model.about.get("offset_ms", 0) / 1000)
    truth = motion.pose.expression.double().numpy()
    found["personal_mm"] = mouth_distance(model(*parts)[held], truth[held])
    still = np.zeros_like(truth)
    still[:, MOUTH] = model.mean
    found["still_mm"] = mouth_distance(still[held], truth[held])
    return {name: round(value, 4) for name, value in found.items()} | {
        "frames": int(held.sum()),
        "lower_percent": round(100 * (1 - found["personal_mm"] / found["general_mm"]), 1),
    }


def mouth_distance(one: Float[np.ndarray, "t 52"], other: Float[np.ndarray, "t 52"]) -> float:
    """Returns the mean distance of the lips' vertices on the default head between two performances, millimetres."""
    head = heads.load("anny")
    lips = (head.regions["lips"] > 0.5).nonzero()[:, 0]
    mouth = torch.tensor(MOUTH)
    change = torch.from_numpy(one - other).float()[:, mouth]
    moved = (change @ head.deltas[mouth][:, lips].flatten(1)).unflatten(-1, (len(lips), 3))  # type: ignore[attr-defined]
    return 1000 * float(moved.norm(dim=-1).mean())


def save_voice(model: VoiceModel, path: Path | str) -> None:
    """Writes a voice model to one file, completely or not at all."""
    names = ("weights", "centre", "mean", "rest", "pause", "high")
    tensors = {name: np.ascontiguousarray(getattr(model, name), np.float32) for name in names}
    write_bytes(path, save(tensors, {_FORMAT: json.dumps({"version": 1, "about": dict(model.about)})}))


def load_voice(path: Path | str) -> VoiceModel:
    """Returns the voice model in a file.

    Raises:
        AvatarError: No such file, or not a voice model.
    """
    path = Path(path)
    if not path.is_file():
        raise AvatarError(f"{path}: no such voice model; make one with `avatar3d voice`")
    sizes = {
        "weights": (len(MOUTH) + _HEARD, len(MOUTH)),
        "centre": (len(MOUTH) + _HEARD,),
        **dict.fromkeys(("mean", "rest", "pause", "high"), (len(MOUTH),)),
    }
    try:
        with safe_open(str(path), "numpy") as file:
            stored = json.loads((file.metadata() or {})[_FORMAT])
            parts = {name: file.get_tensor(name).astype(np.float64) for name in sizes}
        if int(stored["version"]) > 1:
            raise AvatarError(f"{path}: written by a newer avatar3d; update the program")
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise AvatarError(f"{path}: not a voice model, or a damaged one; make it with `avatar3d voice`") from error
    for name, size in sizes.items():
        if parts[name].shape != size or not np.isfinite(parts[name]).all():
            raise AvatarError(f"{path}: {name} is not {size} finite numbers; make the file again")
    return VoiceModel(**parts, about=dict(stored.get("about", {})))


class Personal:
    """A voice model in a stream: what is heard at 100 frames a second waits for the mouth's frames."""

    def __init__(self, model: VoiceModel, fps: float):
        self._model, self._fps = model, fps
        self._heard = np.zeros((0, _HEARD))
        self._silence = np.zeros(0)
        self._first = 0  # number of the first frame held
        self._given = 0

    def push(self, visemes: Float[np.ndarray, "t 15"], heard: AudioFeatures) -> None:
        """Takes further frames of what is heard."""
        self._heard = np.concatenate([self._heard, _loud(heard)])
        self._silence = np.concatenate([self._silence, visemes[:, 0]])

    def __call__(self, general: Float[np.ndarray, "m 52"]) -> Float[np.ndarray, "m 52"]:
        """Returns the person's weights for the next frames of the general mouth."""
        if not len(general) or not len(self._silence):
            return general
        at = (self._given + np.arange(len(general))) / self._fps * RATE - self._first
        self._given += len(general)
        heard, silence = _sampled(self._heard, at), _sampled(self._silence[:, None], at, _AROUND)[:, 0]
        spare = max(0, int(at[-1]) - 2 * _AROUND[0])
        self._heard, self._silence, self._first = self._heard[spare:], self._silence[spare:], self._first + spare
        return self._model(general, heard, silence)


@dataclass(frozen=True)
class _Said:
    """A whole sound at 100 frames a second."""

    general: Float[np.ndarray, "t 52"]
    heard: Float[np.ndarray, "t 3"]
    silence: Float[np.ndarray, " t"]

    def at(self, times: Float[np.ndarray, " m"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns general weights, what is heard and silence at times in seconds."""
        place = times * RATE
        low = np.clip(np.floor(place).astype(int), 0, len(self.general) - 1)
        high = np.minimum(low + 1, len(self.general) - 1)
        share = np.clip(place - low, 0, 1)[:, None]
        general = self.general[low] * (1 - share) + self.general[high] * share
        return general, _sampled(self.heard, place), _sampled(self.silence[:, None], place, _AROUND)[:, 0]


def _said(sound: Sound) -> _Said:
    heard, visemes = features(sound), listen(sound).visemes(RATE)
    count = min(len(heard), len(visemes))
    mouth = Mouth(MouthOptions(fps=float(RATE)))
    weights = np.concatenate([mouth.push(visemes[:count], heard[:count]), mouth.flush()])
    return _Said(weights[:count], _loud(heard)[:count], visemes[:count, 0])


def _loud(heard: AudioFeatures) -> Float[np.ndarray, "t 3"]:
    """Returns loudness, first formant and voicing, each about 0 to 1."""
    first = np.where(heard.f1 > 0, heard.f1, 450.0) / 500.0
    return np.stack([np.clip((heard.intensity + 60) / 40, 0, 1), first, heard.voicing], 1).astype(np.float64)


def _sampled(
    values: Float[np.ndarray, "t d"], place: Float[np.ndarray, " m"], reach: tuple[int, int] = (2, 2)
) -> Float[np.ndarray, "m d"]:
    """Returns means around places in frames, over as many frames before and after."""
    at = np.round(place).astype(int)[:, None] + np.arange(-reach[0], reach[1] + 1)
    return values[np.clip(at, 0, len(values) - 1)].mean(1)


def _inputs(general: Float[np.ndarray, "t 52"], heard: Float[np.ndarray, "t 3"]) -> Float[np.ndarray, "t i"]:
    return np.concatenate([_SCALE * general[:, MOUTH], heard], 1)


def _ridge(x: np.ndarray, y: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    centre, mean = x.mean(0), y.mean(0)
    z = (x - centre) / x.std()
    gram = z.T @ z + strength * len(z) * np.eye(z.shape[1])
    return np.linalg.solve(gram, z.T @ (y - mean)) / x.std(), centre, mean


def _left_out(x: np.ndarray, y: np.ndarray, train: np.ndarray, strength: float) -> float:
    """Returns the mean error of fifths of the clip, each predicted from the others."""
    chosen = np.flatnonzero(train)
    total = 0.0
    for part in np.array_split(chosen, _FOLDS):
        rest = np.setdiff1d(chosen, part)
        weights, centre, mean = _ridge(x[rest], y[rest], strength)
        own = np.clip(mean + (x[part] - centre) @ weights, 0, 1)
        full = np.zeros((2, len(part), len(ARKIT)))
        full[0][:, MOUTH], full[1][:, MOUTH] = own, y[part]
        total += len(part) * mouth_distance(full[0], full[1])
    return total / len(chosen)


def _lag(said: _Said, truth: np.ndarray, times: np.ndarray, train: np.ndarray) -> float:
    """Returns by how many seconds the sound comes after the pictures, where that is plain to see; else 0."""
    steps = np.arange(-round(_LAG * 100), round(_LAG * 100) + 1) / 100
    seen = _opening(truth)[train]
    fits = np.array([np.corrcoef(_opening(said.at((times + lag)[train])[0]), seen)[0, 1] for lag in steps])
    fits = np.nan_to_num(fits)
    now = fits[len(steps) // 2]
    best = int(fits.argmax())
    return float(steps[best]) if fits[best] > max(0.2, now + _LAG_GAIN) else 0.0


def _opening(weights: Float[np.ndarray, "t 52"]) -> Float[np.ndarray, " t"]:
    """Returns how far the mouth is open, in units of jawOpen."""
    at = {name: weights[:, i] for i, name in enumerate(ARKIT)}
    lips = at["mouthLowerDownLeft"] + at["mouthLowerDownRight"] + at["mouthUpperUpLeft"] + at["mouthUpperUpRight"]
    return at["jawOpen"] + 0.15 * lips - at["mouthClose"]
