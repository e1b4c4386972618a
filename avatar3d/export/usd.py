"""USD: `ParticleField3DGaussianSplat` of OpenUSD 26, as text of our own, or in binary through the package usd-core."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from avatar3d import heads
from avatar3d.core import Avatar, AvatarError, Gaussians
from avatar3d.export.formats import ExportOptions
from avatar3d.export.splats import as_numpy, check_count, from_arrays, opacities, posed_splats, turned
from avatar3d.files import replacing
from avatar3d.render.path import neutral

_PRIM = "ParticleField3DGaussianSplat"
_COLOURS = "radiance:sphericalHarmonics"


def write(avatar: Avatar, path: Path, options: ExportOptions) -> Mapping[str, Any]:
    """Writes one pose's splats, y up, metres.

    Raises:
        AvatarError: A binary file is asked for (.usdc, .usd, .usdz) and usd-core is not installed.
    """
    pose = neutral(heads.load(avatar.head)) if options.pose is None else options.pose
    splats = posed_splats(avatar, pose)
    splats = turned(splats) if options.axes == "y-down" else splats
    text = _text(splats, avatar)
    if path.suffix.lower() == ".usda":
        with replacing(path) as temporary:
            temporary.write_text(text)
    else:
        _binary(text, path)
    return {"splats": len(splats), "bytes": path.stat().st_size}


def _text(g: Gaussians, avatar: Avatar) -> str:
    """Returns the whole layer as text."""
    means, scales = as_numpy(g.means), as_numpy(g.scales)
    reach = 3 * scales.max(1, keepdims=True)  # splats are cut off at three standard deviations
    extent = np.stack([(means - reach).min(0), (means + reach).max(0)])
    degree = int(g.sh.shape[1] ** 0.5) - 1
    licence = str(avatar.about.get("licence", "")).replace("\\", "/").replace('"', "'").replace("\n", " ")
    lines = [
        "#usda 1.0",
        "(",
        '    defaultPrim = "avatar"',
        "    metersPerUnit = 1",
        '    upAxis = "Y"',
        "    customLayerData = {",
        '        string made_with = "avatar3d"',
        f'        string licence = "{licence}"',
        "    }",
        ")",
        "",
        f'def {_PRIM} "avatar"',
        "{",
        f"    float3[] extent = {_rows(extent)}",
        f"    point3f[] positions = {_rows(means)}",
        f"    quatf[] orientations = {_rows(as_numpy(g.quats))}",
        f"    float3[] scales = {_rows(scales)}",
        f"    float[] opacities = [{', '.join(map(_number, opacities(g).astype(np.float32)))}]",
        f"    uniform int {_COLOURS}Degree = {degree}",
        f"    float3[] {_COLOURS}Coefficients = {_rows(as_numpy(g.sh).reshape(-1, 3))}",
        "}",
        "",
    ]
    return "\n".join(lines)


def _rows(table: np.ndarray) -> str:
    return "[" + ", ".join("(" + ", ".join(map(_number, row)) + ")" for row in table.astype(np.float32)) + "]"


def _number(value: np.float32) -> str:
    return np.format_float_positional(value, unique=True, trim="-") if 1e-4 <= abs(value) < 1e6 else f"{value:.9g}"


def _binary(text: str, path: Path) -> None:
    sdf, utils = _library(f"{path}: USD in binary")
    layer = sdf.Layer.CreateAnonymous(".usda")
    if not layer.ImportFromString(text):
        raise AvatarError(f"{path}: usd-core does not take the layer; update it")
    with replacing(path) as temporary:
        if path.suffix.lower() == ".usdz":
            inner = temporary.with_name(temporary.stem + "-inner.usdc")
            try:
                layer.Export(str(inner))
                if not utils.CreateNewUsdzPackage(str(inner), str(temporary), "avatar.usdc"):
                    raise AvatarError(f"{path}: usd-core could not pack it")
            finally:
                inner.unlink(missing_ok=True)
        elif not layer.Export(str(temporary)):
            raise AvatarError(f"{path}: usd-core could not write it")


def _library(what: str) -> tuple[Any, Any]:
    """Returns USD's modules for layers and for packages."""
    try:
        from pxr import Sdf, UsdUtils  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise AvatarError(f"{what} needs the package usd-core: pip install usd-core (or write .usda)") from error
    return Sdf, UsdUtils


def read(path: Path) -> Gaussians:
    """Returns the splats of a USD file. Nothing that the file refers to is opened; transforms of prims are left out.

    Raises:
        AvatarError: usd-core is not installed, the file is damaged, or holds no splats.
    """
    sdf, _ = _library(f"{path}: reading USD")
    try:
        layer = sdf.Layer.OpenAsAnonymous(str(path))
    except RuntimeError as error:  # of which the library's Tf.ErrorException is one
        raise AvatarError(f"{path}: a damaged USD file") from error
    found: list[Any] = []

    def look(at: Any) -> None:
        spec = layer.GetObjectAtPath(at) if at.IsPrimPath() else None
        if spec is not None and getattr(spec, "typeName", "") == _PRIM:
            found.append(spec)

    if layer is not None:
        layer.Traverse(sdf.Path.absoluteRootPath, look)
    if not found:
        raise AvatarError(f"{path}: a USD file without splats ({_PRIM})")
    return _splats(found[0], str(path))


def _splats(prim: Any, where: str) -> Gaussians:
    def values(name: str, width: int) -> np.ndarray:
        # A name with h at its end holds the same numbers in half precision.
        for key in (name, f"{name}h"):
            spec = prim.attributes.get(key)
            if spec is not None and spec.default is not None:
                table = np.array(spec.default, np.float64)
                if table.size % width == 0:
                    return table.reshape(-1, width)
        raise AvatarError(f"{where}: its splats have no '{name}'")

    means = values("positions", 3)
    n = check_count(len(means), where)
    spec = prim.attributes.get("orientations") or prim.attributes.get("orientationsh")
    if spec is None or spec.default is None:
        raise AvatarError(f"{where}: its splats have no 'orientations'")
    quats = np.array([(q.real, *q.imaginary) for q in spec.default], np.float64).reshape(-1, 4)
    scales, alpha = values("scales", 3), values("opacities", 1)[:, 0]
    sh = values(f"{_COLOURS}Coefficients", 3)
    if len(sh) % n or any(len(x) != n for x in (quats, scales, alpha)):
        raise AvatarError(f"{where}: attributes of different lengths; the file is damaged")
    if not (scales >= 0).all():
        raise AvatarError(f"{where}: a splat with a scale that is no length")
    alpha = np.clip(alpha, 1e-7, 1 - 1e-7)
    sizes = np.log(np.maximum(scales, 1e-12))
    return from_arrays(means, quats, sizes, np.log(alpha / (1 - alpha)), sh.reshape(n, -1, 3), where)
