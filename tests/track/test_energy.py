"""Projection and derivatives."""

import numpy as np
from scipy.spatial.transform import Rotation

from avatar3d.track.energy import Model, State, bias, jacobian, project


def model(seed: int = 0) -> Model:
    rng = np.random.default_rng(seed)
    return Model(
        centre=np.zeros(3),
        template=rng.normal(0, 0.05, (478, 3)),
        expression=rng.normal(0, 0.003, (5, 478, 3)),
        identity=rng.normal(0, 0.003, (4, 478, 3)),
        pairs=np.array([[13, 14], [159, 145]]),
        turning=np.zeros((6, 478, 2)),
        weights=np.ones(480),
    )


def state(t: int = 3) -> State:
    rng = np.random.default_rng(2)
    rotation = Rotation.from_rotvec(rng.normal(0, 0.3, (t, 3))).as_matrix()
    return State(rotation, rng.normal(0, 20, (t, 2)), np.full(t, 8e-4), rng.random((t, 5)), rng.normal(0, 1, 4), 1e-3)


def test_projection_is_the_pinhole_camera():
    m, s = model(), state()
    px, X = project(m, s)
    moved = X + np.stack([s.size * s.shift[:, 0], -s.size * s.shift[:, 1], -s.size / s.k], 1)[:, None]
    assert np.allclose(px, moved[..., :2] / -moved[..., 2:] / s.k * [1, -1])


def test_derivatives_match_finite_differences():
    m, s = model(), state()
    aim = project(m, s)[0]  # zero residuals: the robust weights do not move
    j = jacobian(m, s, aim, shared=True)

    def residual(**changed) -> np.ndarray:
        px = project(m, State(**{**vars(s), **changed}))[0] - aim
        rows = np.concatenate([px, px[:, m.pairs[:, 0]] - px[:, m.pairs[:, 1]]], 1)
        return (rows * 1000 * s.size[:, None, None]).reshape(len(px), -1)

    h = 1e-6
    for i, axis in enumerate(np.eye(3)):
        turned = Rotation.from_rotvec(h * axis).as_matrix() @ s.rotation
        assert np.allclose(residual(rotation=turned) / h, j.local[..., i], rtol=2e-3, atol=2e-3)
    for i in range(2):
        assert np.allclose(residual(shift=s.shift + h * np.eye(2)[i]) / h, j.local[..., 3 + i], rtol=2e-3, atol=2e-3)
    assert np.allclose(residual(size=s.size * np.exp(h)) / h, j.local[..., 5], rtol=2e-3, atol=2e-2)
    for i in range(5):
        more = residual(expression=s.expression + h * np.eye(5)[i]) / h
        assert np.allclose(more, j.local[..., 6 + i], rtol=2e-3, atol=2e-3)
    for i in range(4):
        assert np.allclose(residual(identity=s.identity + h * np.eye(4)[i]) / h, j.shared[..., i], rtol=2e-3, atol=2e-3)
    assert np.allclose(residual(k=s.k + h * 1e-3) / h, j.shared[..., 4], rtol=2e-3, atol=2e-3)


def test_bias_turns_with_the_head():
    m = model()
    turning = np.zeros((6, 478, 2))
    turning[0, :, 0] = 0.001  # a millimetre to the right in upright axes
    s = state(1)
    quarter = Rotation.from_rotvec([[0, 0, np.pi / 2]]).as_matrix()  # the head's right goes up on the screen
    m = Model(**{**vars(m), "turning": turning})
    got = bias(m, State(quarter, s.shift, s.size, s.expression, s.identity, s.k))
    assert np.allclose(got[0, 0], [0, -0.001 / 8e-4])
