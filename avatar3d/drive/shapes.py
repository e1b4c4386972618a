"""What each viseme asks of the face, and how much it insists: the tables of `mouth`."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from avatar3d.heads.arkit import ARKIT
from avatar3d.speech.visemes import VISEMES

GROUPS = ("jaw", "round", "open", "wide", "tongue")
"""Parts of the mouth that move with their own inertia and anticipation."""

_CHANNELS: dict[str, tuple[str, ...]] = {
    "jaw": ("jawOpen",),
    "round": ("mouthFunnel", "mouthPucker"),
    "open": ("mouthLowerDown", "mouthUpperUp", "mouthRollLower", "mouthRollUpper", "mouthShrugUpper"),
    "wide": ("mouthSmile", "mouthStretch"),
    "tongue": ("tongueOut",),
}
CHANNELS: tuple[str, ...] = tuple(name for group in GROUPS for name in _CHANNELS[group])
"""What the tables speak of; a name without a side stands for both."""
GROUP_OF = np.array([g for g, group in enumerate(GROUPS) for _ in _CHANNELS[group]])

_TARGETS: dict[str, dict[str, float]] = {
    "sil": {},
    "PP": {"jawOpen": 0.04, "mouthRollLower": 0.05, "mouthRollUpper": 0.05},
    "FF": {"jawOpen": 0.06, "mouthRollLower": 0.3, "mouthUpperUp": 0.36, "mouthShrugUpper": 0.2},
    "TH": {"jawOpen": 0.12, "mouthLowerDown": 0.2, "mouthUpperUp": 0.12, "tongueOut": 0.52},
    "DD": {"jawOpen": 0.09, "mouthLowerDown": 0.15, "mouthUpperUp": 0.06, "mouthStretch": 0.05},
    "kk": {"jawOpen": 0.11, "mouthLowerDown": 0.12, "mouthUpperUp": 0.06},
    "CH": {"jawOpen": 0.06, "mouthFunnel": 0.42, "mouthPucker": 0.22, "mouthLowerDown": 0.12, "mouthUpperUp": 0.1},
    "SS": {"jawOpen": 0.04, "mouthLowerDown": 0.22, "mouthUpperUp": 0.08, "mouthSmile": 0.07, "mouthStretch": 0.12},
    "nn": {"jawOpen": 0.08, "mouthLowerDown": 0.12, "mouthUpperUp": 0.05, "mouthStretch": 0.03},
    "RR": {"jawOpen": 0.09, "mouthFunnel": 0.22, "mouthPucker": 0.2, "mouthLowerDown": 0.06},
    "aa": {"jawOpen": 0.30, "mouthLowerDown": 0.14, "mouthUpperUp": 0.08},
    "E": {"jawOpen": 0.17, "mouthLowerDown": 0.17, "mouthUpperUp": 0.08, "mouthSmile": 0.06, "mouthStretch": 0.08},
    "I": {"jawOpen": 0.08, "mouthLowerDown": 0.18, "mouthUpperUp": 0.07, "mouthSmile": 0.2, "mouthStretch": 0.2},
    "O": {"jawOpen": 0.2, "mouthFunnel": 0.36, "mouthPucker": 0.36},
    "U": {"jawOpen": 0.08, "mouthFunnel": 0.24, "mouthPucker": 0.66},
}
"""ARKit weights in clear calm speech. The order of sizes is that of iPhone captures, where the jaw's mean in "aa" is
.18 (what remains of .30 after neighbours have their say); FF and PP were set by their contact on the head model."""

_INSISTENCE: dict[str, tuple[float, float, float, float, float]] = {
    # jaw, round, open, wide, tongue
    "sil": (0.55, 0.45, 0.6, 0.5, 1.0),
    "PP": (0.45, 0.12, 1.0, 0.15, 1.0),
    "FF": (0.8, 0.2, 1.6, 0.25, 1.0),
    "TH": (1.0, 0.2, 1.1, 0.4, 3.0),
    "DD": (0.45, 0.12, 0.45, 0.3, 1.0),
    "kk": (0.35, 0.1, 0.35, 0.25, 1.0),
    "CH": (1.2, 1.1, 1.0, 0.6, 1.0),
    "SS": (1.3, 0.3, 1.0, 0.8, 1.0),
    "nn": (0.45, 0.12, 0.4, 0.3, 1.0),
    "RR": (0.5, 0.8, 0.5, 0.4, 1.0),
    "aa": (1.1, 0.7, 0.9, 0.8, 1.0),
    "E": (0.9, 0.7, 0.9, 0.8, 1.0),
    "I": (0.9, 0.9, 0.9, 1.1, 1.0),
    "O": (1.0, 1.2, 0.9, 1.0, 1.0),
    "U": (1.0, 1.4, 0.9, 1.1, 1.0),
}
"""Cohen and Massaro's alpha ("Modeling coarticulation in synthetic visual speech", 1993). Consonants of the tongue
leave lips and jaw to their neighbours; sibilants need the jaw, labials the lips."""

_FALL = {"jaw": (16.0, 20.0), "round": (9.0, 14.0), "open": (20.0, 24.0), "wide": (12.0, 16.0), "tongue": (30.0, 30.0)}
"""1/s: how fast a viseme's influence falls before it begins (anticipation) and after it has ended. Lips round early, up
to 150 ms ahead (JALI: Edwards et al. 2016)."""


@dataclass(frozen=True)
class Tables:
    """The tables as arrays."""

    targets: Float[np.ndarray, "15 c"]
    insistence: Float[np.ndarray, "15 g"]
    fall_before: Float[np.ndarray, " g"]
    fall_after: Float[np.ndarray, " g"]


def tables() -> Tables:
    """Returns the tables in the order of `VISEMES`, `CHANNELS` and `GROUPS`."""
    return Tables(
        np.array([[_TARGETS[v].get(name, 0.0) for name in CHANNELS] for v in VISEMES]),
        np.array([_INSISTENCE[v] for v in VISEMES]),
        np.array([_FALL[g][0] for g in GROUPS]),
        np.array([_FALL[g][1] for g in GROUPS]),
    )


def columns(name: str) -> list[int]:
    """Returns the ARKit columns of a channel: one, or left and right.

    >>> columns("jawOpen")
    [24]
    """
    return [ARKIT.index(n) for n in ((name,) if name in ARKIT else (name + "Left", name + "Right"))]
