"""Named soft regions and default colours of the bust's vertices.

Skin regions are where the base mesh's own targets act (an ear is what moves with the ear), lips and lids are what lies
near the seam to the mouth and the sockets.
"""

from collections.abc import Mapping

import numpy as np
import scipy.sparse as sparse
from scipy.sparse.csgraph import dijkstra

from .parts import EYE_RINGS, EYE_SEGMENTS, Bust
from .source import Source

_TARGETS = {
    # Region -> local changes whose movement (of its largest) makes the weight, from 0 at `low` to 1 at `high`.
    "ears": (("l-ear-trans-forward", "r-ear-trans-forward"), 0.45, 0.8),
    "nose": (("nose-trans-forward",), 0.1, 0.5),
    "chin": (("chin-prominent-incr",), 0.15, 0.6),
    "cheeks": (("l-cheek-volume-incr", "r-cheek-volume-incr", "l-cheek-bones-incr", "r-cheek-bones-incr"), 0.1, 0.5),
    "neck": (("measure-neck-circ-incr",), 0.1, 0.45),
}
_HAIRLINE = ((0, 38, 62, 80, 100, 125, 180), (0.078, 0.070, 0.040, 0.0, -0.022, -0.050, -0.068))
"""Degrees from straight ahead about the skull's axis, and the height there where hair begins, metres."""
_SKULL_AXIS = -0.085
"""z, metres."""


def smoothstep(x: np.ndarray, low: float, high: float) -> np.ndarray:
    """Returns 0 at `low`, 1 at `high`, smooth between (`low` may be the larger)."""
    t = np.clip((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3 - 2 * t)


def _moved(source: Source, bust: Bust, names: tuple[str, ...], count: int) -> np.ndarray:
    """Returns how far the local changes move each vertex of the body, of their largest move."""
    out = np.zeros(count)
    for name in names:
        ends = source.coefficients({}, {name: np.array([0.0, 1.0])})
        move = np.linalg.norm(
            np.tensordot(ends[1] - ends[0], source.targets[:, bust.kept[: bust.body_count]], 1), axis=1
        )
        out[: bust.body_count] = np.maximum(out[: bust.body_count], move / move.max())
    return out


def _distance(mean: np.ndarray, quads: np.ndarray, seeds: np.ndarray) -> np.ndarray:
    """Returns along-the-mesh distances from the seed vertices, metres."""
    a, b = np.concatenate([np.stack([quads[:, i], quads[:, (i + 1) % 4]]) for i in range(4)], axis=1)
    length = np.linalg.norm(mean[a] - mean[b], axis=1)
    graph = sparse.csr_matrix((length, (a, b)), shape=(len(mean),) * 2)
    return dijkstra(graph, directed=False, indices=seeds, min_only=True, limit=0.05)


def named(
    source: Source, bust: Bust, mean: np.ndarray, charts: Mapping[str, np.ndarray], jaw: np.ndarray
) -> dict[str, np.ndarray]:
    """Returns soft weights by region.

    Args:
        mean: v 3 vertices of the mean person.
        charts: Name -> vertices of each chart of the body in the atlas (a seam's vertices are in two).
        jaw: v, how far jawOpen moves each vertex, metres.
    """
    v = len(mean)
    x, y, _ = mean.T
    flag = {k: np.isin(np.arange(v), i).astype(float) for k, i in charts.items()}
    inside = {k: flag[k] * (1 - flag["head"]) for k in ("mouth", "socket_left", "socket_right")}
    skin = (np.arange(v) < bust.body_count) - sum(inside.values())
    out: dict[str, np.ndarray] = {"skin": skin}
    for name, (targets, low, high) in _TARGETS.items():
        out[name] = smoothstep(_moved(source, bust, targets, v), low, high) * skin
    out.update(_rims(mean, bust.parts["body"].quads, flag, inside["mouth"], skin))
    out["brows"] = _brows(mean) * skin
    around = np.degrees(np.arctan2(np.abs(x), mean[:, 2] - _SKULL_AXIS))
    hair = y - np.interp(around, *_HAIRLINE)
    head = flag["head"] * skin
    out["scalp"] = smoothstep(hair, -0.006, 0.006) * smoothstep(y, -0.10, -0.08) * skin * (1 - out["ears"])
    out["face"] = head * (1 - smoothstep(around, 62, 80)) * smoothstep(y, -0.128, -0.112) * (1 - out["scalp"])
    out["forehead"] = out["face"] * smoothstep(y, 0.022, 0.034) * (1 - out["brows"])
    out["jaw"] = smoothstep(jaw / jaw.max(), 0.05, 0.5) * skin
    out["neck"] *= 1 - smoothstep(jaw / jaw.max(), 0.2, 0.5)
    out["torso"] = smoothstep(y, -0.13, -0.17) * (1 - out["neck"]) * skin
    out["shoulders"] = out["torso"] * smoothstep(np.abs(x), 0.07, 0.12) * smoothstep(y, -0.36, -0.30)
    out["cavity"] = inside["mouth"] * (1 - out["lips"])
    out["sockets"] = inside["socket_left"] + inside["socket_right"]
    left = smoothstep(x, -0.002, 0.002)
    for name in ("brow", "ear", "cheek"):
        both = out[f"{name}s"]
        out[f"{name}_left"], out[f"{name}_right"] = both * left, both * (1 - left)
    out.update(_loose_parts(bust, v))
    out["mouth_interior"] = np.maximum.reduce([out["cavity"], out["teeth"], out["gums"], out["tongue"]])
    return {k: np.clip(w, 0, 1) for k, w in sorted(out.items())}


def _rims(mean: np.ndarray, quads: np.ndarray, flag: Mapping, mouth: np.ndarray, skin: np.ndarray) -> dict:
    """Returns lips and lids: what lies along the mesh near the seams to the mouth and the sockets."""
    x, y, _ = mean.T
    seam = _distance(mean, quads, np.flatnonzero(flag["mouth"] * flag["head"]))
    edge = np.where(y > -0.0745, 0.0095, 0.0105)  # the red of the upper lip is lower than that of the lower one
    lips = (1 - smoothstep(seam - edge, -0.0015, 0.0015)) * skin + (seam < 0.004) * mouth
    out = {"lips": lips * (1 - smoothstep(np.abs(x), 0.023, 0.028))}
    for side in ("left", "right"):
        rim = _distance(mean, quads, np.flatnonzero(flag[f"socket_{side}"] * flag["head"]))
        out[f"lids_{side}"] = (1 - smoothstep(rim, 0.006, 0.012)) * skin
    out["lids"] = np.maximum(out["lids_left"], out["lids_right"])
    return out


def _brows(mean: np.ndarray) -> np.ndarray:
    """Returns an arch on the brow ridge, 11 to 50 mm from the middle, about 7 mm high."""
    x, y, z = np.abs(mean[:, 0]), mean[:, 1], mean[:, 2]
    middle = 0.0205 + 0.10 * (x - 0.012) - 9.0 * np.maximum(x - 0.036, 0) ** 2
    band = 1 - smoothstep(np.abs(y - middle) - 0.0035, -0.0015, 0.0025)
    return band * smoothstep(x, 0.009, 0.013) * (1 - smoothstep(x, 0.046, 0.053)) * (z > -0.02)


def _loose_parts(bust: Bust, v: int) -> dict[str, np.ndarray]:
    out: dict[str, np.ndarray] = {}
    for name in ("eye_left", "eye_right", "tongue"):
        out[name] = np.zeros(v)
        out[name][bust.ranges[name]] = 1
    iris, pupil = (1 + EYE_SEGMENTS * int(np.searchsorted(EYE_RINGS, np.radians(a))) for a in (22.0, 8.0))
    for side in ("left", "right"):
        first = bust.ranges[f"eye_{side}"].start
        out[f"iris_{side}"], out[f"pupil_{side}"] = np.zeros(v), np.zeros(v)
        out[f"iris_{side}"][first : first + iris] = 1
        out[f"pupil_{side}"][first : first + pupil] = 1
    out["gums"] = np.zeros(v)
    for jaw in ("upper", "lower"):
        rows = np.arange(v)[bust.ranges[f"teeth_{jaw}"]].reshape(5, -1)
        out[f"teeth_{jaw}"] = np.zeros(v)
        out[f"teeth_{jaw}"][rows[1:4]] = 1
        out["gums"][rows[[0, 4]]] = 1
    out["teeth"] = out["teeth_upper"] + out["teeth_lower"]
    for name in ("eye", "iris", "pupil"):
        out[name if name != "eye" else "eyes"] = out[f"{name}_left"] + out[f"{name}_right"]
    return out


_COLOURS = (
    # Painted in this order, sRGB.
    ("skin", (0.80, 0.62, 0.53)),
    ("cheeks", (0.80, 0.58, 0.50)),
    ("lips", (0.67, 0.36, 0.35)),
    ("brows", (0.27, 0.20, 0.17)),
    ("sockets", (0.62, 0.38, 0.35)),
    ("cavity", (0.17, 0.05, 0.05)),
    ("eyes", (0.90, 0.89, 0.87)),
    ("iris", (0.33, 0.25, 0.18)),
    ("pupil", (0.03, 0.03, 0.03)),
    ("gums", (0.62, 0.30, 0.31)),
    ("teeth", (0.90, 0.87, 0.80)),
    ("tongue", (0.62, 0.27, 0.29)),
)


def colours(regions: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns plausible default sRGB colours, v 3."""
    out = np.tile(_COLOURS[0][1], (len(regions["skin"]), 1))
    for name, colour in _COLOURS[1:]:
        weight = regions[name][:, None] * (0.5 if name == "cheeks" else 1.0)
        out = out * (1 - weight) + weight * np.array(colour)
    return out
