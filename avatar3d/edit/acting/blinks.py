"""Blinks of a performance: found, taken out, put in."""

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float

from avatar3d.core import Motion, seed_all

_SHUT, _OPEN = 0.5, 0.3
"""Closure of the lids at which a blink begins, and below which the next may: as `score lips` counts."""
_EDGE = 0.12
"""Closure at which a blink has begun or ended."""
_LONG = 0.6
"""Seconds from which closed eyes are no blink."""
_DOWN, _CLOSED, _UP = 0.08, 0.04, 0.18
"""Seconds of a blink's phases."""
_APART = 0.5
"""Seconds between blinks at least."""
_JITTER = 0.3
"""Share of the space between two blinks by which a new one may miss its middle."""


def closure(motion: Motion) -> Float[np.ndarray, " t"]:
    """Returns the mean closure of the lids."""
    return motion.pose.expression[:, _lids(motion)].double().numpy().mean(1)


def blinks_of(motion: Motion) -> tuple[tuple[int, int], ...]:
    """Returns the first and the last frame of each blink."""
    curve = closure(motion)
    found, at = [], 0
    while at < len(curve):
        if curve[at] < _SHUT:
            at += 1
            continue
        first, last = at, at
        while first > 0 and _EDGE < curve[first - 1] <= curve[first] + 0.05:
            first -= 1
        while last + 1 < len(curve) and (curve[last + 1] > _OPEN or _EDGE < curve[last + 1] <= curve[last]):
            last += 1
        if last - first < _LONG * motion.fps:
            found.append((first, last))
        at = last + 1
    return tuple(found)


def rate(motion: Motion) -> float:
    """Returns blinks a minute."""
    return 60 * len(blinks_of(motion)) * motion.fps / max(len(motion), 1)


def with_rate(motion: Motion, wanted: float, seed: int = 0) -> Motion:
    """Returns the motion with as many blinks a minute as wanted, as near as whole blinks come.

    Blinks that are too many are taken out, the lids between them interpolated; new ones stand where the eyes were open
    for longest.

    Args:
        motion: Any.
        wanted: Blinks a minute, 0 or more.
        seed: Of which blinks go and where new ones stand.
    """
    spans = list(blinks_of(motion))
    count = round(max(wanted, 0.0) * len(motion) / motion.fps / 60)
    noise = torch.rand(256, generator=seed_all(seed), dtype=torch.float64).tolist()
    weights = motion.pose.expression.clone()
    lids = _lids(motion)
    turn = 0
    while len(spans) > count:
        first, last = spans.pop(int(noise[turn % 256] * len(spans)))
        turn += 1
        a, b = max(first - 1, 0), min(last + 1, len(weights) - 1)
        share = torch.linspace(0, 1, b - a + 1, dtype=weights.dtype)[:, None]
        ends = weights[a, lids], weights[b, lids]
        weights[a : b + 1, lids] = torch.minimum(weights[a : b + 1, lids], ends[0] + share * (ends[1] - ends[0]))
    profile = torch.from_numpy(_profile(motion.fps)).to(weights)
    half, apart = len(profile) // 2, round(_APART * motion.fps)
    while len(spans) < count:
        edges = [-apart, *(m for first, last in spans for m in (first, last)), len(weights) + apart]
        gaps = [(edges[i + 1] - edges[i], i) for i in range(0, len(edges), 2)]
        length, i = max(gaps)
        middle = edges[i] + length / 2 + (noise[turn % 256] - 0.5) * _JITTER * length
        first = round(middle) - half
        turn += 1
        if length < len(profile) + 2 * apart:
            break  # no room for another
        first = min(max(first, 0), len(weights) - len(profile))
        rows = slice(first, first + len(profile))
        weights[rows, lids] = torch.maximum(weights[rows, lids], profile[:, None])
        spans = sorted([*spans, (first, first + len(profile) - 1)])
    return replace(motion, pose=replace(motion.pose, expression=weights))


def _lids(motion: Motion) -> list[int]:
    return [at for at, name in enumerate(motion.names) if name.startswith("eyeBlink")]


def _profile(fps: float) -> Float[np.ndarray, " k"]:
    """Returns the closure of one blink, frame by frame: down, closed, slowly up."""
    t = np.arange(int(np.ceil((_DOWN + _CLOSED + _UP) * fps)) + 1) / fps
    down, up = np.clip(t / _DOWN, 0, 1), np.clip((t - _DOWN - _CLOSED) / _UP, 0, 1)
    curve = np.minimum(down * down * (3 - 2 * down), 1 - up * up * (3 - 2 * up))
    curve[np.abs(t - _DOWN - _CLOSED / 2).argmin()] = 1.0  # one frame is closed at any rate
    return curve
