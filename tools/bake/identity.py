"""The identity space: people sampled from anny's phenotypes and local face changes, and their principal modes."""

import re
from dataclasses import dataclass

import numpy as np

from .parts import Bust, eye_centres
from .source import Source

PEOPLE = 4000
SEED = 20
KEEP = 0.995
"""Share of the weighted variance that the modes keep."""
MOST_MODES = 96
LARGEST_MOVE = 2.0e-3
"""Metres. Standard deviation of a local change is the smaller of 0.35 of its range and what moves a vertex this far:
anny's ranges are those of caricature (one of them moves the forehead by 5 cm)."""
ASYMMETRY = 0.15
"""Standard deviation of the difference of left and right, of that of their mean."""

_FACE = (
    "head",
    "forehead",
    "nose",
    "mouth",
    "chin",
    "l-eye",
    "r-eye",
    "l-cheek",
    "r-cheek",
    "l-ear",
    "r-ear",
    "eyebrows",
)
_BUST = ("neck", "measure-neck", "torso", "measure-shoulder", "measure-napetowaist", "l-upperarm", "r-upperarm")
_DROPPED = re.compile(r"-trans-out$|^(head|torso|neck)-trans-|^head-angle")
"""`-trans-out` of the whole head, nose or mouth shears it sideways; `head-trans` and its like only move the origin."""
_DIRECTIONS = re.compile(r"-(incr|up|out|forward|convex|round|triangle|uncompress)$")


@dataclass(frozen=True)
class Identity:
    """mean v 3, modes s v 3 (one standard deviation each), joint_mean j 3, joint_modes s j 3, sliders n s."""

    mean: np.ndarray
    modes: np.ndarray
    joint_mean: np.ndarray
    joint_modes: np.ndarray
    names: tuple[str, ...]
    sliders: np.ndarray
    kept: float


def _local_changes(source: Source) -> list[str]:
    names = [k for k in source.model.local_change_labels if k.startswith(_FACE + _BUST)]
    sided = ("l-eye-trans-out", "r-eye-trans-out")
    return [k for k in names if k in sided or not _DROPPED.search(k)]


def _people(source: Source, bust: Bust, rng: np.random.Generator) -> tuple[dict, dict]:
    """Returns sampled phenotypes and local changes: adults mainly, of all sexes, builds and origins."""
    n = PEOPLE
    race = rng.dirichlet((0.6, 0.6, 0.6), n)
    adult = rng.random(n) < 0.93
    phenotypes = {
        "gender": rng.beta(0.6, 0.6, n),
        "age": np.where(adult, 0.62 + 0.33 * rng.beta(1.0, 1.6, n), rng.uniform(0.4, 0.62, n)),
        "muscle": np.clip(rng.normal(0.5, 0.18, n), 0, 1),
        "weight": np.clip(rng.normal(0.5, 0.2, n), 0, 1),
        "height": np.clip(rng.normal(0.5, 0.15, n), 0, 1),
        "proportions": np.clip(rng.normal(0.5, 0.15, n), 0, 1),
        "african": race[:, 0],
        "asian": race[:, 1],
        "caucasian": race[:, 2],
    }
    changes: dict[str, np.ndarray] = {}
    for name in _local_changes(source):
        deviation = min(0.35, LARGEST_MOVE / _reach(source, bust, name))
        twin = "l-" + name[2:] if name.startswith("r-") else ""
        if twin in changes:
            both, apart = changes[twin], rng.normal(0, ASYMMETRY * deviation, n)
            changes[name] = np.clip(both - apart, -1, 1)
            changes[twin] = np.clip(both + apart, -1, 1)
        else:
            changes[name] = np.clip(rng.normal(0, deviation, n), -1, 1)
    return phenotypes, changes


def _reach(source: Source, bust: Bust, name: str) -> float:
    """Returns how far a local change at 1 moves the vertex of the bust that it moves most, metres."""
    ends = source.coefficients({}, {name: np.array([0.0, 1.0])})
    moved = _apply(ends[1] - ends[0], source.targets)[bust.kept]
    return float(np.linalg.norm(moved, axis=1).max())


def _apply(row: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Returns row @ targets, of a row that is nearly all zeros."""
    some = np.flatnonzero(row)
    return np.tensordot(row[some], targets[some], 1)


def _directions(source: Source, bust: Bust, joints: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the targets `used` as changes of the bust with the eyes' centre kept at the origin: k v 3 and k j 3."""
    targets, joint_targets = source.targets[used], source.joint_targets[used]
    centre = eye_centres(source, targets).mean(-2)[:, None]
    vertices, all_joints = targets - centre, joint_targets - centre
    shape = np.concatenate([bust.shape(v[None], j[None], True) for v, j in zip(vertices, all_joints, strict=True)])
    return shape, _joints(source, vertices, all_joints, joints)


def learn(source: Source, bust: Bust, joints: np.ndarray, importance: np.ndarray) -> Identity:
    """Returns the mean person and orthogonal modes with N(0, 1) coefficients.

    Args:
        joints: Indices of the bones to follow; the two eyes are put after the first two.
        importance: v weights of the variance: the face counts more than the chest.
    """
    rng = np.random.default_rng(SEED)
    phenotypes, changes = _people(source, bust, rng)
    rows = source.coefficients(phenotypes, changes)
    used = np.flatnonzero(np.abs(rows).max(0) > 0)  # anny's targets below the chest stay out
    rows = rows[:, used]
    directions, joint_directions = _directions(source, bust, joints, used)
    start, joint_start = _start(source, bust, joints)
    flat = directions.reshape(len(directions), -1)
    mean_row = rows.mean(0)
    spread = rows - mean_row
    weight = np.sqrt(importance).repeat(3)
    # Eigenvectors in coefficient space: covariance of rows seen through the weighted directions.
    weighted = flat * weight
    gram = weighted @ weighted.T
    covariance = spread.T @ spread / len(rows)
    lower = np.linalg.cholesky(gram + 1e-12 * np.trace(gram) / len(gram) * np.eye(len(gram)))
    values, vectors = np.linalg.eigh(lower.T @ covariance @ lower)
    values, vectors = values[::-1], vectors[:, ::-1]
    share = np.cumsum(values) / values.sum()
    count = min(int(np.searchsorted(share, KEEP)) + 1, MOST_MODES)
    values, vectors = values[:count], vectors[:, :count]
    # Coefficient z of a person with row r is (r - mean) @ project; the shape that goes with z is regressed on z.
    project = lower @ vectors / np.sqrt(values)
    z = spread @ project
    regress = np.linalg.lstsq(z, spread, rcond=None)[0]
    modes = regress @ flat
    sign = np.sign(modes[np.arange(count), np.abs(modes * weight).argmax(1)])  # eigenvectors have no sign of their own
    modes, project, regress = modes * sign[:, None], project * sign, regress * sign[:, None]
    names, sliders = _sliders(source, project, used)
    return Identity(
        mean=start + np.tensordot(mean_row, directions, 1),
        modes=modes.reshape(count, -1, 3),
        joint_mean=joint_start + np.tensordot(mean_row, joint_directions, 1),
        joint_modes=np.tensordot(regress, joint_directions, 1),
        names=names,
        sliders=sliders,
        kept=float(share[count - 1]),
    )


def _start(source: Source, bust: Bust, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    centre = eye_centres(source, source.template).mean(-2)
    vertices, all_joints = source.template - centre, source.joints - centre
    return bust.shape(vertices, all_joints, False), _joints(source, vertices, all_joints, joints)


def _joints(source: Source, vertices: np.ndarray, joints: np.ndarray, bones: np.ndarray) -> np.ndarray:
    """Returns ... j 3: two bones, the eyeballs' centres, which anny's eye bones do not always follow, the rest."""
    eyes = eye_centres(source, vertices)
    return np.concatenate([joints[..., bones[:2], :], eyes, joints[..., bones[2:], :]], axis=-2)


def _sliders(source: Source, project: np.ndarray, used: np.ndarray) -> tuple[tuple[str, ...], np.ndarray]:
    """Returns slider names and the coefficients that one unit of each adds.

    A unit of a phenotype is its whole range as a straight line; of a local change, half of the way from its negative
    to its positive end. Left and right move together.
    """
    out: dict[str, np.ndarray] = {}
    for name in source.model.phenotype_labels:
        if name in ("cupsize", "firmness"):
            continue
        low, high = (0.55, 0.95) if name == "age" else (0.0, 1.0)
        ends = source.coefficients({name: np.array([low, high])}, {})
        out[name] = (ends[1] - ends[0])[used] / (high - low) @ project
    for name in _local_changes(source):
        if name.startswith("r-"):
            continue
        names = (name, "r-" + name[2:]) if name.startswith("l-") else (name,)
        ends = source.coefficients({}, {k: np.array([-1.0, 1.0]) for k in names})
        plain = _DIRECTIONS.sub("", name[2:] if name.startswith("l-") else name)
        out[plain if plain not in out else name] = (ends[1] - ends[0])[used] / 2 @ project
    return tuple(out), np.stack(list(out.values()))
