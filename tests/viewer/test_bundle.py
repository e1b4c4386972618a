"""The player that the package ships: built from these sources, small, and silent on the network."""

import gzip
import hashlib
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from avatar3d.core import Avatar, AvatarError, Basis, Binding, Gaussians
from avatar3d.export import FORMATS, export, html
from avatar3d.export.player_basis import turned
from avatar3d.export.player_pack import PackOptions, pack

VIEWER = Path(__file__).resolve().parents[2] / "viewer"


def test_the_bundle_names_these_sources() -> None:
    """Needs no node: a digest of the sources stands in the bundle's first line."""
    digest = hashlib.sha256()
    files = {p.relative_to(VIEWER).as_posix(): p for p in (VIEWER / "src").rglob("*") if p.is_file()}
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + files[name].read_bytes() + b"\0")
    assert f"sources {digest.hexdigest()} */" in html.bundle().splitlines()[0], "run `npm run build` in viewer/"


def test_the_bundle_is_what_the_sources_build(tmp_path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm found: node 20 or newer builds the player anew")
    home = tmp_path / "viewer"
    shutil.copytree(VIEWER, home, ignore=shutil.ignore_patterns("node_modules"))
    installed = VIEWER / "node_modules"
    if installed.is_dir():
        (home / "node_modules").symlink_to(installed.resolve())
    else:
        done = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=home, capture_output=True, timeout=240)
        if done.returncode:
            pytest.skip("npm ci failed: is there a package index?")
    target = tmp_path / "avatar3d" / "export" / "player.js"
    target.parent.mkdir(parents=True)
    target.write_text(html.bundle(), encoding="utf-8")
    for command in (["node", "build.mjs", "--check"], ["npx", "--no-install", "tsc", "--noEmit"]):
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_bundle_is_small_and_names_no_host() -> None:
    text = html.bundle()
    assert len(gzip.compress(text.encode(), 9)) < 60_000
    hosts = set(re.findall(r"(?:https?|wss?)://[\w.-]+", text))
    assert hosts <= {"http://www.w3.org"}  # the name of SVG, which nobody fetches


def test_the_page_forbids_requests_and_other_scripts(doll) -> None:
    text = html.page(html.content_of(doll))
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', text)
    assert policy is not None
    assert "default-src 'none'" in policy[1] and "connect-src data: blob:" in policy[1]
    assert "unsafe-eval'" not in policy[1].replace("wasm-unsafe-eval'", "")
    assert not re.search(r'(?:src|href)="(?!data:)', text[: text.index("<script>")])


def test_names_cannot_break_out_of_the_page(doll) -> None:
    text = html.page(html.content_of(doll, PackOptions(name='"><script>alert(1)</script>')))
    assert "alert(1)</script>" not in text


@pytest.fixture(scope="module")
def large(doll) -> Avatar:
    """50,000 splats with all sixteen blendshapes everywhere: more than fits have, whose clothes have none."""
    n, k, draw = 50_000, 16, torch.Generator().manual_seed(0)

    def noise(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=draw)

    gaussians = Gaussians(
        noise(n, 3), noise(n, 4), noise(n, 3) * 0.8 - 2.5, noise(n) * 2, noise(n, 1, 3) * 0.5 + noise(n, 1, 1)
    )
    bary = torch.rand(n, 3, generator=draw)
    binding = Binding(torch.randint(0, 12_580, (n,), generator=draw), bary / bary.sum(1, keepdim=True))
    layers = (noise(64, 70) * 0.1, noise(64) * 0.1, noise(k, 64) * 0.05, noise(k) * 0.05)
    basis = Basis(noise(k, n, 3) * 0.06, noise(k, n, 4) * 0.08, noise(k, n, 3) * 0.09, layers)
    return replace(doll, gaussians=gaussians, binding=binding, basis=basis)


def test_fifty_thousand_splats_are_below_eight_megabytes(large, tmp_path) -> None:
    told = export(large, tmp_path / "large.html")
    assert told["bytes"] == (tmp_path / "large.html").stat().st_size < 8_000_000
    assert told["format"] == "html" and "html" in FORMATS


def test_turned_blendshapes_sum_to_the_same(large) -> None:
    draw = torch.Generator().manual_seed(1)
    weights = torch.randn(40, 16, generator=draw) * torch.linspace(0.02, 0.4, 16)
    found = turned(large.basis, weights)
    before = torch.einsum("pk,knc->pnc", weights, large.basis.means)[:, found.splats]
    values = torch.from_numpy(found.values[:, :3]) * torch.from_numpy(found.steps[:, :3, None])
    after = torch.einsum("pk,kcn->pnc", (weights @ found.turn.mT).double(), values.double())
    assert (before - after).square().mean().sqrt() < 1 / 64 / 12**0.5 * 16**0.5 * 1.1  # sixteen roundings of a step


def test_packing_is_deterministic_and_refuses_nothing_to_see(doll) -> None:
    assert pack(doll) == pack(doll)
    unseen = replace(doll, gaussians=replace(doll.gaussians, logits=torch.full_like(doll.gaussians.logits, -20.0)))
    with pytest.raises(AvatarError, match="no splat"):
        pack(unseen)
    assert len(pack(doll, PackOptions(motion=False))) < len(pack(doll))
