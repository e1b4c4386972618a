"""What a solve is made of: landmarks modelled on a head, the pull of the coefficients, frames to begin with."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from avatar3d import heads
from avatar3d.track.embedding import SKIN, Embedding, Surface
from avatar3d.track.energy import CORNERS, LIDS, LIPS, OVAL, Model, State, without_similarity
from avatar3d.track.solve import Prior

_TURN = 1e6
"""Pull of the rotation towards the one read: about as strong as the landmarks', whose errors all points share."""
_QUICK = ("eyeBlink", "eyeLook", "eyeSquint", "eyeWide", "jaw", "mouth")
"""Expressions that move fully within two or three frames."""
FINE, LOST = 1.5, 6.0
"""Mean landmark error in millimetres at which a frame counts fully, and not at all."""


def landmark_model(surface: Surface, embedding: Embedding, response: float) -> Model:
    """Returns the terms' model: measured responses instead of geometry, identity free of pose, trust by point."""
    expression = surface.expression.copy()
    expression[:, :SKIN, :2] += response * (embedding.response[:, :SKIN] - expression[:, :SKIN, :2])
    centre = surface.template[:SKIN].mean(0)
    noise = 0.6**2  # squared millimetres of detector noise on the best points
    # Points that expressions move far are known less well; the rigid ones decide the pose (0.3 degrees better on ICT).
    restless = 0.4 * np.sqrt(0.04 * (1e6 * embedding.response**2).sum((0, 2)))
    weights = 1 / (noise + np.minimum(embedding.spread, 6.0) ** 2 + restless**2)
    weights[list(OVAL)] *= 0.1  # the outline slides on the surface as the head turns
    weights /= np.median(weights)
    weights[SKIN:] = np.maximum(weights[SKIN:], 1.0)
    pairs = np.array(LIPS + LIDS + CORNERS)
    return Model(
        centre=centre,
        template=surface.template - centre,
        expression=expression,
        identity=without_similarity(surface.template, surface.identity),
        pairs=pairs,
        turning=embedding.turning,
        weights=np.concatenate([weights, np.full(len(pairs), 3.0)]),
    )


def expression_prior(
    expression: Float[np.ndarray, "t e"],
    k: float,
    ridge: float,
    smooth: bool,
    turned: tuple[Float[np.ndarray, "t 3 3"], Float[np.ndarray, " t"]] | None = None,
) -> Prior:
    """Returns the pull towards what was read off the network, and between neighbouring frames if `smooth`.

    Args:
        expression: Weights in [0, 1].
        k: Inverse focal length, 1 / pixels.
        ridge: Pull of each expression.
        smooth: Whether frames follow each other in time.
        turned: Rotations expected, and how far to trust each, 0 to 1.
    """
    names = heads.ARKIT
    ties = np.array([10.0 if n.startswith(_QUICK) else 100.0 for n in names]) * smooth
    prior = Prior(expression, ridge=ridge, smooth=ties, k=k)
    return prior if turned is None else replace(prior, rotation=turned[0], turn=_TURN * turned[1])


def keyframes(state: State, count: int) -> np.ndarray:
    """Returns frames that differ most in rotation and expression: farthest-point sampling from the most average one."""
    features = np.concatenate([state.rotation.reshape(len(state.rotation), 9) * 2, state.expression], 1)
    chosen = [int(np.linalg.norm(features - np.median(features, 0), axis=1).argmin())]
    nearest = np.full(len(features), np.inf)
    while len(chosen) < min(count, len(features)):
        nearest = np.minimum(nearest, np.linalg.norm(features - features[chosen[-1]], axis=1))
        chosen.append(int(nearest.argmax()))
    return np.sort(np.array(chosen))
