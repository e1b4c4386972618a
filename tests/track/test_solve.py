"""The solver's pieces against oracles."""

import numpy as np
from scipy.optimize import minimize

from avatar3d.track.energy import without_similarity
from avatar3d.track.solve import box_qp


def test_box_qp_finds_the_constrained_minimum():
    rng = np.random.default_rng(0)
    t, e = 4, 6
    root = rng.normal(size=(t, e, e))
    link = rng.uniform(0, 1, e)
    H = root @ root.swapaxes(1, 2) + np.eye(e) * (1 + 2 * link)
    g = rng.normal(0, 3, (t, e))
    low, high = np.full((t, e), -0.5), np.full((t, e), 0.4)
    x = box_qp(H, g, link, low, high, np.zeros((t, e)), sweeps=500)

    def cost(flat):
        y = flat.reshape(t, e)
        return 0.5 * np.einsum("ti,tij,tj", y, H, y) + (g * y).sum() - (link * y[1:] * y[:-1]).sum()

    best = minimize(cost, np.zeros(t * e), bounds=[(-0.5, 0.4)] * (t * e), method="L-BFGS-B", options={"ftol": 1e-14})
    assert (x >= low).all() and (x <= high).all()
    assert cost(x.ravel()) < best.fun + 1e-3


def test_identity_modes_lose_their_similarity():
    rng = np.random.default_rng(1)
    template = rng.normal(0, 0.05, (478, 3))
    turn = np.cross([0.1, 0.2, 0.3], template)
    modes = np.stack([np.ones_like(template), turn, template * 0.2, rng.normal(0, 0.01, template.shape)])
    left = without_similarity(template, modes)
    centred = template[:468] - template[:468].mean(0)
    assert np.abs(left[0]).max() < 1e-9 and np.abs(left[1]).max() < 1e-6 and np.abs(left[2]).max() < 1e-6
    assert abs((left[3, :468] * centred).sum()) < 1e-9
