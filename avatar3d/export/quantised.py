"""Numbers in few bits, as compressed splat files keep them: quaternions, codebooks, palettes, and Morton order."""

import numpy as np
from jaxtyping import Float, Int, UInt64
from scipy.cluster.vq import vq

_BINS = 4096
_REST = np.array([[1, 2, 3], [0, 2, 3], [0, 1, 3], [0, 1, 2]])
"""The components that are kept where the largest is left out."""


def without_largest(quats: Float[np.ndarray, "n 4"]) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n 3"]]:
    """Returns the index of each unit quaternion's largest component, and the other three times sqrt(2), in [-1, 1].

    The quaternion's sign is chosen so that the largest is positive.
    """
    q = quats.astype(np.float64)
    q = q / np.linalg.norm(q, axis=1, keepdims=True)
    largest = np.abs(q).argmax(1)
    row = np.arange(len(q))
    q = q * np.where(q[row, largest] < 0, -1.0, 1.0)[:, None]
    return largest, np.clip(q[row[:, None], _REST[largest]] * np.sqrt(2), -1, 1)


def with_largest(largest: Int[np.ndarray, " n"], rest: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 4"]:
    """Returns the quaternions of `without_largest`."""
    kept = rest / np.sqrt(2)
    quats = np.zeros((len(rest), 4))
    row = np.arange(len(rest))
    quats[row[:, None], _REST[largest]] = kept
    quats[row, largest] = np.sqrt(np.clip(1 - (kept**2).sum(1), 0, None))
    return quats


def morton_order(points: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, " n"]:
    """Returns an order in which neighbours in space are near each other: Morton codes of 10 bits an axis."""
    low, high = points.min(0), points.max(0)
    cells = ((points - low) / np.maximum(high - low, 1e-12) * 1023).astype(np.uint64)
    code = _spread(cells[:, 0]) | _spread(cells[:, 1]) << np.uint64(1) | _spread(cells[:, 2]) << np.uint64(2)
    return np.argsort(code, kind="stable")


def _spread(x: UInt64[np.ndarray, " n"]) -> UInt64[np.ndarray, " n"]:
    """Returns 10-bit numbers with two empty bits after each of theirs."""
    for shift, mask in ((16, 0x030000FF), (8, 0x0300F00F), (4, 0x030C30C3), (2, 0x09249249)):
        x = (x | (x << np.uint64(shift))) & np.uint64(mask)
    return x


def codebook(
    values: Float[np.ndarray, "*n"], size: int = 256
) -> tuple[Float[np.ndarray, " {size}"], Int[np.ndarray, "*n"]]:
    """Returns `size` levels that stand for all values with little error, and each value's level.

    Lloyd's algorithm on a line, begun at levels as dense as the cube root of the values' density, which is best for
    many levels (Panter and Dite, 1951). Levels are sorted, so a value's is found by halving.
    """
    flat = np.sort(values.reshape(-1).astype(np.float64))
    density, edges = np.histogram(flat, _BINS)
    share = np.concatenate([[0.0], np.cumsum(np.cbrt(density))])
    levels = np.interp((np.arange(size) + 0.5) / size * share[-1], share, edges)
    sums = np.concatenate([[0.0], np.cumsum(flat)])
    for _ in range(30):
        cut = np.concatenate([[0], np.searchsorted(flat, (levels[1:] + levels[:-1]) / 2), [len(flat)]])
        count = np.diff(cut)
        levels = np.where(count > 0, np.diff(sums[cut]) / np.maximum(count, 1), levels)
        levels = np.sort(levels)
    index = np.searchsorted((levels[1:] + levels[:-1]) / 2, values.astype(np.float64))
    return levels.astype(np.float32), index


def palette(
    rows: Float[np.ndarray, "n d"], size: int, rounds: int = 6
) -> tuple[Float[np.ndarray, "p d"], Int[np.ndarray, " n"]]:
    """Returns at most `size` rows that stand for all with little error (k-means), and which one each row takes."""
    start = rows[np.linspace(0, len(rows) - 1, min(size, len(rows))).astype(int)].astype(np.float32)
    centres = np.unique(start, axis=0)
    wanted = rows.astype(np.float32)
    label = vq(wanted, centres)[0]
    for _ in range(rounds):
        count = np.bincount(label, minlength=len(centres))
        total = np.stack([np.bincount(label, column, len(centres)) for column in wanted.T], 1)
        centres = np.where(count[:, None] > 0, total / np.maximum(count, 1)[:, None], centres).astype(np.float32)
        label = vq(wanted, centres)[0]
    return centres, label
