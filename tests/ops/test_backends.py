"""The registry: choices, refusals, and optional packages that are missing, broken or played by stand-ins."""

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from avatar3d import bench
from avatar3d.core import AvatarError, Camera
from avatar3d.ops import backends, mesh, native, splat
from avatar3d.ops.backends import registry, via_pytorch3d

ROOT = Path(__file__).resolve().parents[2]
X = {"x": torch.zeros(2)}


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """No wish in the environment, and no finding of one test left for the next."""
    monkeypatch.delenv("AVATAR3D_BACKEND", raising=False)
    registry.package.cache_clear()
    yield
    registry.package.cache_clear()


def live(monkeypatch, *names: str) -> None:
    """Makes backends live, and all others not."""
    monkeypatch.setattr(registry, "_row", lambda op, name: backends.Row(name in names, f"{name} is a test"))


def on(device: str, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Returns a tensor that only claims to be on a device."""
    with FakeTensorMode():
        return torch.empty(2, dtype=dtype, device=device)


def test_every_op_has_a_twin_and_every_row_a_reason():
    rows = backends.rows()
    assert rows.keys() == backends.OPS.keys()
    for op, names in backends.OPS.items():
        assert names[-1] == "reference" and set(rows[op]) == set(names)
        for name, row in rows[op].items():
            assert row.why and "\n" not in row.why, (op, name)
            assert row.live or any(word in row.why for word in ("install", "build", "driver", "rebuild", "run")), (
                row.why
            )
    assert all(rows[op]["reference"].live for op in rows)


def test_the_device_and_then_the_order_decide(monkeypatch):
    live(monkeypatch, "cuda", "gsplat", "cpu", "reference")
    assert backends.choose("splat", {"x": on("cuda:0")}) == "cuda"
    assert backends.choose("splat", {"x": on("cpu")}) == "cpu"
    live(monkeypatch, "gsplat", "cpu", "reference")
    assert backends.choose("splat", {"x": on("cuda:0")}) == "gsplat"
    assert backends.choose("loss", {"x": on("cuda:0")}) == "reference"
    assert backends.choose("loss", {"x": on("cpu", torch.float64)}) == "reference"
    with pytest.raises(AvatarError, match=r"splat: no backend can serve this: .*'cpu' takes float32 on cpu, x is .*64"):
        backends.choose("splat", {"x": on("cpu", torch.float64)})


def test_mixed_devices_are_named(monkeypatch):
    live(monkeypatch, "cuda", "cpu")
    with pytest.raises(AvatarError, match="means is on cpu, sh is on cuda:1; move them to one"):
        backends.choose("splat", {"means": on("cpu"), "sh": on("cuda:1")})
    gaussians, camera = bench.head_scene(20), bench.head_camera(8)
    with pytest.raises(AvatarError, match=r"means is on cpu, .*K is on meta"):
        splat.rasterize(gaussians, Camera(camera.w2c, camera.K.to("meta"), 8, 8))


def test_the_environment_is_a_wish_or_an_order(monkeypatch):
    live(monkeypatch, "cpu", "reference")
    monkeypatch.setenv("AVATAR3D_BACKEND", "reference")
    assert backends.choose("splat", X) == backends.choose("adam", X) == "reference"
    assert backends.choose("splat", X, backend="cpu") == "cpu"  # an argument goes first
    monkeypatch.setenv("AVATAR3D_BACKEND", "cuda")  # a wish for all ops: followed where tensors allow
    assert backends.choose("splat", X) == "cpu"
    monkeypatch.setenv("AVATAR3D_BACKEND", "splat=cuda, mesh=reference")
    assert backends.choose("mesh", X) == "reference"
    assert backends.choose("adam", X) == "cpu"
    with pytest.raises(AvatarError, match=r"splat: 'cuda' takes float32 on cuda, x is torch.float32 on cpu"):
        backends.choose("splat", X)
    for wrong, said in {
        "gpu": "no op has a backend 'gpu'",
        "splat=nerfacc": "cannot read 'splat=nerfacc'; choose from cuda, gsplat",
        "blur=cpu": "ops are splat, mesh",
    }.items():
        monkeypatch.setenv("AVATAR3D_BACKEND", wrong)
        with pytest.raises(AvatarError, match=said):
            backends.choose("splat", X)


def test_a_backend_that_is_not_live_says_why(monkeypatch):
    monkeypatch.setattr(registry, "_takes", lambda backend, tensor: True)
    live(monkeypatch, "cpu")
    with pytest.raises(AvatarError, match="splat: 'gsplat' is not live: gsplat is a test"):
        backends.choose("splat", X, backend="gsplat")
    with pytest.raises(AvatarError, match="splat: unknown backend 'nerfacc'; choose from auto, cuda"):
        backends.choose("splat", X, backend="nerfacc")


PACKAGES = sorted(registry._PACKAGES)
BROKEN = {
    "raises on import": "raise RuntimeError('compiled for another torch')",
    "lacks a symbol": "raise OSError('undefined symbol: _ZN3c105ErrorC2E')",
    "has no contents": "",
    "exits": "import sys; sys.exit(3)",
}


@pytest.mark.parametrize("how", BROKEN)
def test_broken_packages_break_nothing(how, tmp_path):
    """Planted packages stand first on the path, and torch claims to have a device."""
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "__init__.py").write_text(BROKEN[how])
    code = f"""
import sys; sys.path[:0] = {[str(tmp_path), str(ROOT)]!r}
import torch
torch.cuda.is_available = lambda: True
import avatar3d, avatar3d.ops.splat, avatar3d.ops.mesh, avatar3d.ops.field, avatar3d.doctor
from avatar3d.ops import backends
rows = backends.rows()
for package in {PACKAGES}:
    found = [row[package] for row in rows.values() if package in row]
    assert found
    for row in found:
        assert not row.live and "broken" in row.why and "install" in row.why, row
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2000:]


def test_missing_packages_say_what_to_install(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in PACKAGES:
        monkeypatch.setitem(sys.modules, name, None)  # what an import finds is "not installed"
        row = registry.package(name)
        assert not row.live and "not installed" in row.why and "pip install" in row.why


# ---- pytorch3d, played by a stand-in that keeps its documented conventions ------------------------------------------


class Meshes:
    """`pytorch3d.structures.Meshes`, as far as the adapter needs it."""

    def __init__(self, verts: torch.Tensor, faces: torch.Tensor) -> None:
        self.verts, self.faces = verts, faces


def rasterize_meshes(
    meshes,
    image_size=256,
    blur_radius=0.0,
    faces_per_pixel=8,
    bin_size=None,
    max_faces_per_bin=None,
    perspective_correct=False,
    clip_barycentric_coords=False,
    cull_backfaces=False,
    z_clip_value=None,
    cull_to_frustum=False,
):
    """`pytorch3d.renderer.mesh.rasterize_meshes` 0.7: x left, y up, the shorter side spans [-1, 1], faces count through
    the batch, z as given; the nearest face only."""
    assert perspective_correct and faces_per_pixel == 1 and blur_radius == 0 and meshes.faces.dtype == torch.int64
    h, w = image_size
    side = min(h, w)
    x = (w - 1 - torch.arange(w) + 0.5) * 2 / side - w / side
    y = (h - 1 - torch.arange(h) + 0.5) * 2 / side - h / side
    count = meshes.faces.shape[1]
    ids, zs, bary = [], [], []
    for i, (verts, faces) in enumerate(zip(meshes.verts.double(), meshes.faces, strict=True)):
        corners = verts[faces]  # f 3 xyz
        a, b, c = corners[:, :, :2].unbind(1)
        p = torch.stack(torch.meshgrid(x, y, indexing="xy"), dim=-1).double()[:, :, None]

        def area(u, v, q):
            return (q[..., 0] - u[..., 0]) * (v[..., 1] - u[..., 1]) - (q[..., 1] - u[..., 1]) * (v[..., 0] - u[..., 0])

        whole = area(a, b, c)
        flat = torch.stack([area(b, c, p), area(c, a, p), area(a, b, p)], dim=-1) / whole[:, None]
        z = corners[:, :, 2]
        right = flat * torch.stack([z[:, 1] * z[:, 2], z[:, 0] * z[:, 2], z[:, 0] * z[:, 1]], dim=-1)
        right = right / right.sum(-1, keepdim=True)
        depth = (right * z).sum(-1)
        seen = (flat > 0).all(-1) & (z > z_clip_value).all(-1)
        if cull_backfaces:
            seen = seen & (whole > 0)  # its edge function is positive for faces towards the camera
        depth = torch.where(seen, depth, torch.inf)
        nearest, face = depth.min(-1)
        hit = nearest < torch.inf
        ids.append(torch.where(hit, face + i * count, -1))
        zs.append(torch.where(hit, nearest, -1.0))
        bary.append(
            torch.where(hit[..., None], torch.gather(right, 2, face[..., None, None].expand(h, w, 1, 3))[:, :, 0], -1)
        )
    return (
        torch.stack(ids)[..., None],
        torch.stack(zs)[..., None].float(),
        torch.stack(bary)[..., None, :].float(),
        None,
    )


@pytest.mark.parametrize("cull", [False, True])
@pytest.mark.parametrize("size", [(40, 28), (23, 37)])
def test_pytorch3d_draws_what_we_draw(monkeypatch, cull, size):
    module = ModuleType("pytorch3d.renderer.mesh")
    module.rasterize_meshes = rasterize_meshes  # type: ignore[attr-defined]
    structures = ModuleType("pytorch3d.structures")
    structures.Meshes = Meshes  # type: ignore[attr-defined]
    for name in ("pytorch3d", "pytorch3d.renderer"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "pytorch3d.renderer.mesh", module)
    monkeypatch.setitem(sys.modules, "pytorch3d.structures", structures)
    random = torch.Generator().manual_seed(2)
    vertices = torch.rand(2, 24, 3, generator=random) * 0.4 - 0.2
    faces = torch.stack([torch.randperm(24, generator=random)[:3] for _ in range(30)])
    camera = bench.head_camera(32)
    K = camera.K.clone()
    K[0, 2], K[1, 2], K[1, 1] = 0.45 * size[0], 0.55 * size[1], 1.1 * K[1, 1]
    camera = Camera(camera.w2c.expand(2, 4, 4), K.expand(2, 3, 3), *size)
    want = mesh.rasterize(vertices, faces, camera, cull)
    face, bary, depth = via_pytorch3d.rasterize(vertices, faces, camera, cull, mesh.NEAR)
    same = face == want.face
    assert (
        same.float().mean() > 0.99 and (want.face >= 0).float().mean() > 0.2
    )  # a pixel on an edge may fall either way
    torch.testing.assert_close(bary[same], want.bary[same], atol=2e-4, rtol=0)
    torch.testing.assert_close(depth[same], want.depth[same], atol=1e-5, rtol=0)


def test_the_twin_of_the_mesh_is_a_backend():
    vertices, faces = (
        torch.rand(2, 9, 3, generator=torch.Generator().manual_seed(1)) * 0.2 - 0.1,
        torch.arange(9).view(3, 3),
    )
    fast, slow = (mesh.rasterize(vertices, faces, bench.head_camera(24), backend=b) for b in ("cpu", "reference"))
    assert torch.equal(fast.face, slow.face)
    torch.testing.assert_close(fast.depth, slow.depth, atol=1e-6, rtol=0)


# ---- tiny-cuda-nn, played by a stand-in ------------------------------------------------------------------------------


def test_tinycudann_is_asked_for_our_grid(monkeypatch):
    from avatar3d.ops import reference_field
    from avatar3d.ops.backends import via_tinycudann
    from avatar3d.ops.field_types import Grid

    grid, asked = Grid(levels=3, features=2, log2_rows=8, base=4), []

    class Encoding(torch.nn.Module):
        """`tinycudann.Encoding`: parameters in one vector, level after level."""

        def __init__(self, n_input_dims, encoding_config, seed=1337, dtype=None) -> None:
            super().__init__()
            asked.append((n_input_dims, encoding_config, dtype))
            self.params = torch.nn.Parameter(torch.zeros(grid.rows * grid.features))

        def forward(self, x):
            return reference_field.encode(x, self.params.view(grid.rows, grid.features), grid)

    package = ModuleType("tinycudann")
    package.Encoding = Encoding  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "tinycudann", package)
    monkeypatch.setattr(torch.cuda, "device", lambda device: torch.no_grad())
    via_tinycudann._encoding.cache_clear()
    random = torch.Generator().manual_seed(3)
    points = torch.rand(50, 3, generator=random).requires_grad_()
    table = torch.randn(grid.rows, grid.features, generator=random).requires_grad_()
    out = via_tinycudann.encode(points, table, grid)
    torch.testing.assert_close(out, reference_field.encode(points, table, grid))
    got = torch.autograd.grad(out.square().sum(), (points, table))
    want = torch.autograd.grad(reference_field.encode(points, table, grid).square().sum(), (points, table))
    for a, b in zip(got, want, strict=True):
        torch.testing.assert_close(a, b)
    dims, config, dtype = asked[0]
    assert dims == 3 and dtype == torch.float32 and config["otype"] == "HashGrid"
    assert (config["n_levels"], config["n_features_per_level"], config["log2_hashmap_size"]) == (3, 2, 8)
    assert (config["base_resolution"], config["per_level_scale"]) == (4, grid.growth)
    via_tinycudann._encoding.cache_clear()


def test_native_is_live_where_it_is_built():
    assert backends.rows()["splat"]["cpu"].live == native.available()


@pytest.mark.parametrize("compiled", [True, False])
def test_packages_are_live_when_their_kernels_are(monkeypatch, tmp_path, compiled):
    """gsplat and NerfAcc import without their kernels and leave a None; that is not live."""
    backend = "class _C:\n    traverse_grids = 1\n" if compiled else "_C = None\n"
    files = {
        "gsplat/__init__.py": "__version__ = '1.5.3'\ndef rasterization(): ...\n",
        "gsplat/cuda/_backend.py": backend,
        "nerfacc/__init__.py": "__version__ = '0.5.3'\n",
        "nerfacc/cuda/_backend.py": backend,
        "tinycudann/__init__.py": "class Encoding: ...\n",
        "pytorch3d/__init__.py": "__version__ = '0.7.8'\n",
        "pytorch3d/_C.py": "def rasterize_meshes(): ...\n",
        "pytorch3d/renderer/mesh.py": "def rasterize_meshes(): ...\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for name in [m for m in sys.modules if m.split(".")[0] in PACKAGES]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    rows = {name: registry.package(name) for name in PACKAGES}
    assert rows["pytorch3d"] == backends.Row(True, "pytorch3d 0.7.8")
    assert rows["tinycudann"] == backends.Row(True, "tinycudann (no version)")
    for name, version in (("gsplat", "1.5.3"), ("nerfacc", "0.5.3")):
        assert rows[name].live == compiled
        assert (f"{name} {version}" if compiled else "its kernels are not compiled") in rows[name].why
    for name in [m for m in sys.modules if m.split(".")[0] in PACKAGES]:
        del sys.modules[name]


def test_the_page_on_gpus_lists_this_table():
    """docs/gpu.md has a row for each op, with the backends that serve by themselves on a GPU and on a CPU."""
    found = {}
    for row in re.findall(
        r"^\| (`\w+`(?:, `\w+`)*) \| ([\w, ]+) \| ([\w, ]+) \|", (ROOT / "docs/gpu.md").read_text(), re.MULTILINE
    ):
        for op in re.findall(r"\w+", row[0]):
            found[op] = (tuple(row[1].split(", ")), tuple(row[2].split(", ")))
    expected = {}
    for op, names in backends.OPS.items():
        automatic = [name for name in names if (op, name) not in registry._ASKED_ONLY]
        on_gpu = tuple(n for n in automatic if registry._DEVICE.get(n, "cuda") == "cuda")
        on_cpu = tuple(n for n in automatic if registry._DEVICE.get(n, "cpu") == "cpu")
        expected[op] = (on_gpu, on_cpu)
    assert found == expected
