"""Every splat format: what it holds comes back, within what its bits allow; another program reads the same."""

from pathlib import Path

import numpy as np
import pytest
import torch

from avatar3d.core import AvatarError, Gaussians
from avatar3d.export import compressed_ply, ply, sog, splat_file, spz
from avatar3d.export.splats import turned
from avatar3d.geometry import quat_to_matrix
from avatar3d.ops.reference import sh_values

FORMATS = {
    "ply": (ply.write, ply.read),
    "compressed-ply": (compressed_ply.write, compressed_ply.read),
    "splat": (splat_file.write, splat_file.read),
    "spz3": (lambda g: spz.write(g, 3), spz.read),
    "spz4": (lambda g: spz.write(g, 4), spz.read),
    "sog": (sog.write, sog.read),
}
# Largest error of: position (m), log scale, opacity, colour of degree 0, direction of an axis, higher degrees.
BOUNDS = {
    "ply": (0, 0, 0, 0, 1e-6, 0),
    "compressed-ply": (4e-4, 1e-2, 3e-3, 2e-2, 8e-3, 0.04),
    "splat": (0, 1e-6, 3e-3, 8e-3, 3e-2, None),
    "spz3": (8e-6, 0.032, 4.5e-3, 0.014, 8e-3, 4e-3),
    "spz4": (8e-6, 0.032, 4.5e-3, 0.014, 8e-3, 4e-3),
    "sog": (5e-6, 0.03, 3e-3, 0.02, 2e-2, 0.6),
}


def matched(wanted: Gaussians, found: Gaussians) -> Gaussians:
    """Returns `found` in the order of `wanted`: some formats sort."""
    near = torch.cdist(wanted.means.double(), found.means.double()).argmin(1)
    assert len(near.unique()) == len(near)
    return found.gather(near)


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read(name, splats):
    write, read = FORMATS[name]
    position, scale, opacity, colour, axis, higher = BOUNDS[name]
    data = write(splats)
    assert data == write(splats), "the same splats give the same bytes"
    found = matched(splats, read(data, name))

    def near(a, b, bound):
        assert float((a - b).abs().max()) <= bound

    near(found.means, splats.means, position)
    near(found.log_scales, splats.log_scales, scale)
    near(found.opacities, splats.opacities, opacity)
    near(found.sh[:, 0], splats.sh[:, 0], colour)
    near(quat_to_matrix(found.quats), quat_to_matrix(splats.quats), axis)
    if higher is not None:
        assert found.sh.shape == splats.sh.shape
        near(found.sh[:, 1:], splats.sh[:, 1:], higher) if splats.sh.shape[1] > 1 else None


def test_turning_about_x_is_seen_by_no_camera_that_turns_along(splats):
    half = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    there = turned(splats)
    torch.testing.assert_close(there.means, splats.means @ half.T)
    torch.testing.assert_close(quat_to_matrix(there.quats), half @ quat_to_matrix(splats.quats), atol=1e-6, rtol=0)
    towards = torch.nn.functional.normalize(torch.randn(len(splats), 3, generator=torch.Generator().manual_seed(1)))
    bases = splats.sh.shape[1]
    before = (sh_values(towards, bases)[..., None] * splats.sh).sum(1)
    after = (sh_values(towards @ half.T, bases)[..., None] * there.sh).sum(1)
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(turned(there).sh, splats.sh)


@pytest.mark.parametrize("name", ["ply", "compressed-ply", "spz3", "spz4"])
def test_gsply_reads_the_same(name, splats, tmp_path: Path):
    gsply = pytest.importorskip("gsply", reason="pip install gsply")
    path = tmp_path / {"ply": "a.ply", "compressed-ply": "a.compressed.ply"}.get(name, "a.spz")
    write, read = FORMATS[name]
    path.write_bytes(write(splats))
    other = gsply.read_spz(path) if path.suffix == ".spz" else gsply.plyread(path)
    ours = read(path.read_bytes(), name)
    np.testing.assert_allclose(other.means, ours.means, atol=1e-6)
    np.testing.assert_allclose(other.scales, ours.log_scales, atol=1e-5)
    np.testing.assert_allclose(1 / (1 + np.exp(-other.opacities)), ours.opacities, atol=2.1e-3)
    np.testing.assert_allclose(other.sh0, ours.sh[:, 0], atol=1e-5)
    theirs = quat_to_matrix(torch.from_numpy(np.ascontiguousarray(other.quats)))
    np.testing.assert_allclose(theirs, quat_to_matrix(ours.quats), atol=1e-4)
    if splats.sh.shape[1] > 1:
        higher = np.asarray(other.shN).reshape(len(ours), -1, 3)
        np.testing.assert_allclose(higher, ours.sh[:, 1:], atol=0.04 if name == "compressed-ply" else 1e-5)


@pytest.mark.parametrize("name", ["compressed-ply", "spz3", "spz4"])
def test_we_read_what_gsply_writes(name, splats, tmp_path: Path):
    gsply = pytest.importorskip("gsply", reason="pip install gsply")
    source = tmp_path / "source.ply"
    source.write_bytes(ply.write(splats))
    data, path = gsply.plyread(source), tmp_path / "there.bin"
    if name == "compressed-ply":
        path.write_bytes(gsply.compress_to_bytes(data))
    else:
        gsply.write_spz(path, data, version=int(name[-1]), fractional_bits=16)
    found = matched(splats, FORMATS[name][1](path.read_bytes(), name))
    assert float((found.means - splats.means).abs().max()) < 6e-4
    assert float((found.opacities - splats.opacities).abs().max()) < 5e-3


def test_spz_version_4_says_what_to_install(monkeypatch, splats):
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    with pytest.raises(AvatarError, match="pip install zstandard"):
        spz.write(splats, 4)


def test_spz_holds_a_room_but_not_a_landscape(splats):
    with pytest.raises(AvatarError, match="200 m"):
        spz.write(Gaussians(splats.means + 200, splats.quats, splats.log_scales, splats.logits, splats.sh))
