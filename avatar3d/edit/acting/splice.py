"""The motion of a performance that says something else: kept frames to the bit, smooth joints, lips that close.

Around each change there is a window, from a little before its first joint to a little after its last. Outside, frames
are copied. Inside, the mouth is that of the new words, and everything else goes over from how the performance went on
before the change to how it came to what follows: both are real motion, so nothing freezes.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from avatar3d.core import AvatarError, Motion, Pose, first_of
from avatar3d.edit.acting.contacts import MOUTH, Bounds, closed_at, in_order, kept, with_weights
from avatar3d.edit.acting.snippets import LipsAt, Snippets, chosen, sampled
from avatar3d.edit.acting.transcript import Score, Stretch
from avatar3d.heads import load
from avatar3d.heads.lips import lips
from avatar3d.motions.blend import mixed_poses
from avatar3d.speech.phones import Phone, PhoneTrack
from avatar3d.speech.visemes import BILABIALS

_HALF = 0.07
"""Seconds on each side of a joint in which the mouth goes over."""
_LIDS = 0.12
"""Seconds in which the lids go over, where they are most open."""
_CLOSED = 0.4
"""Millimetres that lips may be apart in a new p, b or m."""
_OPENS = 200.0
"""Millimetres a second by which they may part before and after: 9 mm in 45 ms."""


@dataclass(frozen=True)
class Spliced:
    """A new performance."""

    motion: Motion
    windows: tuple[tuple[int, int], ...]
    """First frame, and the frame after the last, of what is not a copy."""
    found: tuple[float, ...]
    """By change: share of the phones of new sound that came from the person's own movements."""


def spliced(
    motion: Motion, score: Score, spoken: PhoneTrack, general: Motion, own: bool = True, head: str = "anny"
) -> Spliced:
    """Returns the performance put together anew.

    Args:
        motion: The old performance.
        score: How (`transcript.scored`, for the motion's rate).
        spoken: The old performance's phones.
        general: Somebody who says the new transcript in the new times, at the motion's rate: the mouth where the
            performance has none to offer.
        own: Look for new phones among the person's own movements. Of no use where they came from the same model.
        head: Name of the head model.

    Raises:
        AvatarError: Motions that do not fit together.
    """
    count = len(motion) + score.frames
    if len(motion) < 2 or count < 2:
        raise AvatarError("say-instead: hardly anything would be left of the performance")
    if general.fps != motion.fps or general.names != motion.names:
        raise AvatarError("say-instead: the general mouth has another rate or other expressions than the performance")
    build = _Splicer(motion, score, spoken, general, own, head)
    out = build.copied(count)
    windows, found = [], []
    for group in build.groups():
        window = build.window(group, count)
        share = 0.0
        if window[1] > window[0]:
            out, share = build.filled(out, group, window)
        windows.append(window)
        found.append(share)
    return Spliced(out, tuple(windows), tuple(found))


class _Splicer:
    def __init__(self, motion: Motion, score: Score, spoken: PhoneTrack, general: Motion, own: bool, head: str):
        self._motion, self._score, self._head, self._own = motion, score, head, own
        self._fps = motion.fps
        self._old, self._general = in_order(motion, head), in_order(general, head)
        self._spoken = list(spoken.segmented().phones)
        self._phones = score.phones.phones

    def groups(self) -> list[tuple[Stretch | None, list[Stretch], Stretch | None]]:
        """Returns each change: what is kept before it, what is new, what is kept after it."""
        found: list[tuple[Stretch | None, list[Stretch], Stretch | None]] = []
        before: Stretch | None = None
        new: list[Stretch] = []
        for s in self._score.stretches:
            if s.source != "kept":
                new.append(s)
                continue
            if before is not None or new:
                found.append((before, new, s))
            before, new = s, []
        return [*found, (before, new, None)] if new else found

    def window(self, group: tuple[Stretch | None, list[Stretch], Stretch | None], count: int) -> tuple[int, int]:
        before, new, after = group
        start = new[0].start if new else (after.start if after is not None else 0.0)
        end = new[-1].end if new else start
        first = 0 if before is None else int(np.ceil((start - _half(before)) * self._fps - 1e-9))
        last = count if after is None else int(np.floor((end + _half(after)) * self._fps + 1e-9)) + 1
        return max(0, min(first, count)), max(0, min(last, count))

    def copied(self, count: int) -> Motion:
        """Returns the new performance where each frame is a copy: of what is kept where it is, else of what came
        before."""
        index, shift = np.zeros(count, int), 0
        starts = [(s.start, round(s.offset * self._fps)) for s in self._score.stretches if s.source == "kept"]
        for start, offset in starts:
            index[max(0, int(np.ceil(start * self._fps - 1e-9))) :] = offset
        index[: int(np.ceil(starts[0][0] * self._fps - 1e-9)) if starts else 0] = shift
        return self._taken(np.arange(count) - index)

    def filled(
        self, out: Motion, group: tuple[Stretch | None, list[Stretch], Stretch | None], window: tuple[int, int]
    ) -> tuple[Motion, float]:
        """Returns the motion with the window of a change filled, and the share of new phones from own movements."""
        before, _, after = group
        frames = np.arange(*window)
        times = frames / self._fps
        left_at, right_at = (frames - round(s.offset * self._fps) if s is not None else None for s in (before, after))
        left_at = right_at if left_at is None else left_at
        right_at = left_at if right_at is None else right_at
        assert left_at is not None and right_at is not None
        left, right = self._taken(left_at), self._taken(right_at)
        along = torch.from_numpy(_ease((np.arange(len(frames)) + 1) / (len(frames) + 1))).float()
        pose = mixed_poses(left.pose, right.pose, along)
        weights = in_order(replace(out, pose=pose), self._head).copy()
        old_left, old_right = in_order(left, self._head), in_order(right, self._head)
        lids = self._columns("eye")
        share = self._lid_shares(old_left, old_right)[:, None]
        weights[:, lids] = (1 - share) * old_left[:, lids] + share * old_right[:, lids]
        mouth, found = self._mouth(group, times, old_left, old_right)
        columns = self._columns(*MOUTH)
        weights[:, columns] = mouth[:, columns]
        pieces = with_weights(replace(out, pose=pose), weights, self._head)
        pieces = kept(pieces, self._bounds(times, old_left, old_right, group), head=self._head)
        cut = slice(*window)
        whole = {}
        for name in ("expression", "joints", "root", "soft"):
            value, part = getattr(out.pose, name), getattr(pieces.pose, name)
            if value is None or part is None:
                whole[name] = None
                continue
            whole[name] = value.clone()
            whole[name][cut] = part
        return replace(out, pose=Pose(**whole)), found

    def _mouth(
        self,
        group: tuple[Stretch | None, list[Stretch], Stretch | None],
        times: np.ndarray,
        left: np.ndarray,
        right: np.ndarray,
    ) -> tuple[np.ndarray, float]:
        """Returns the mouth's weights in a window: each stretch's, smoothly one after the other."""
        before, new, after = group
        parts: list[tuple[Stretch, np.ndarray]] = [(before, left)] if before is not None else []
        said = found = 0
        at = np.round(times * self._fps).astype(int).clip(0, len(self._general) - 1)
        for s in new:
            if s.source == "own":
                parts.append((s, sampled(self._old, (times - s.offset) * self._fps)))
                continue
            values = self._general[at]
            if self._own and s.phones:
                snippets = self._snippets(s)
                values = snippets.mouth(times, self._old, self._fps, values)
                said, found = said + len(s.phones), found + snippets.found * len(s.phones)
            parts.append((s, values))
        if after is not None:
            parts.append((after, right))
        out = parts[0][1]
        for (last, _), (s, values) in itertools.pairwise(parts):
            half = min(_half(last), _half(s))
            share = _ease((times - s.start) / (2 * half) + 0.5)[:, None]
            out = (1 - share) * out + share * values
        return out, found / said if said else 0.0

    def _snippets(self, stretch: Stretch) -> Snippets:
        own = [p for p in self._phones if stretch.start - 1e-6 <= p.start and p.end <= stretch.end + 1e-6]
        near = self._phones
        first = next((i for i, p in enumerate(near) if own and p.start >= own[0].start - 1e-9), 0)
        last = first + len(own)
        around: tuple[Phone | None, Phone | None] = (
            near[first - 1] if first else None,
            near[last] if last < len(near) else None,
        )
        measure = lips(self._head)
        old, general = (measure.points(x).reshape(len(x), -1) for x in (self._old, self._general))
        return chosen(own, around, self._spoken, LipsAt(old, general, self._fps))

    def _bounds(
        self,
        times: np.ndarray,
        left: np.ndarray,
        right: np.ndarray,
        group: tuple[Stretch | None, list[Stretch], Stretch | None],
    ) -> Bounds:
        """Returns how far lips may part in a window: closed in new p, b and m, and in kept ones that were closed."""
        before, _, after = group
        measure = lips(self._head)
        closed = closed_at(measure.gap(self._old))
        high = np.full(len(times), np.inf)
        for p in self._phones:
            if p.phone not in BILABIALS or p.end < times[0] - 0.1 or p.start > times[-1] + 0.1:
                continue
            most = _CLOSED
            kept_in = next(
                (s for s in (before, after) if s is not None and s.start <= p.start and p.end <= s.end), None
            )
            if kept_in is not None:
                a, b = ((t - kept_in.offset) * self._fps for t in (p.start, p.end))
                rows = self._old[max(0, int(np.floor(a))) : int(np.ceil(b)) + 1]
                least = float(measure.gap(rows).min()) if len(rows) else np.inf
                if least > closed:
                    continue  # it was not closed before
                most = max(most, least)
            middle, quarter = (p.start + p.end) / 2, max((p.end - p.start) / 4, 0.5 / self._fps)
            away = np.maximum(np.abs(times - middle) - quarter, 0.0)
            high = np.minimum(high, most + _OPENS * away)
        nothing = np.full(len(times), -np.inf)
        return Bounds(high, nothing, nothing)

    def _lid_shares(self, left: np.ndarray, right: np.ndarray) -> Float[np.ndarray, " m"]:
        """Returns when lids and gaze go over: quickly, where both have the eyes most open."""
        names = load(self._head).expressions
        lids = [first_of(names, n) for n in ("eyeBlinkLeft", "eyeBlinkRight")]
        shut = left[:, lids].sum(1) + right[:, lids].sum(1)
        count = len(left)
        half = max(1.0, min(_LIDS * self._fps, count - 2) / 2)
        inner = np.arange(count)
        fits = (inner >= half) & (inner <= count - 1 - half)
        centre = count / 2 - 0.5 if not fits.any() else float(np.where(fits, shut, np.inf).argmin())
        return _ease((inner - centre) / (2 * half) + 0.5)

    def _taken(self, index: np.ndarray) -> Motion:
        """Returns frames of the old performance; beyond its ends, the first and the last."""
        at = torch.from_numpy(np.clip(index, 0, len(self._motion) - 1))
        return replace(self._motion, pose=self._motion.pose[at])

    def _columns(self, *starts: str) -> np.ndarray:
        return np.array([name.startswith(starts) for name in load(self._head).expressions])


def _half(stretch: Stretch) -> float:
    """Returns how far a joint may reach into a stretch: two joints must not meet."""
    return max(min(_HALF, (stretch.end - stretch.start) / 2), 1e-3)


def _ease(x: np.ndarray) -> np.ndarray:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
