"""What works on this machine, and what to do about what does not."""

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Callable
from typing import Any

from avatar3d import __version__
from avatar3d.core import AvatarError

_PACKAGES = ("torch", "numpy", "scipy", "safetensors", "av", "cv2", "PIL", "ai_edge_litert", "tyro", "rich")


def doctor() -> dict[str, Any]:
    """Returns `{"version", "python", "system", "cores", "checks": [{"name", "ok", "detail"}, ...], "backends", "ok"}`.

    `backends` is op -> backend -> `{"live", "why"}`; a backend that is not live is no fault. Nothing is downloaded; a
    model file that is not here yet counts as fine, with what will happen in `detail`.
    """
    checks = [_check(name, lambda name=name: _package(name)) for name in _PACKAGES]
    checks += [
        _check("kernels", _kernels),
        _check("head", _head),
        _check("video", _video),
        *_models(),
        _check("disk", _disk),
    ]
    return {
        "version": __version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": os.cpu_count() or 1,
        "checks": checks,
        "backends": _backends(),
        "ok": all(check["ok"] for check in checks),
    }


def _backends() -> dict[str, dict[str, dict[str, Any]]]:
    from avatar3d.ops import backends

    return {
        op: {name: {"live": row.live, "why": row.why} for name, row in row_of.items()}
        for op, row_of in backends.rows().items()
    }


def summary(backends: dict[str, dict[str, dict[str, Any]]]) -> list[str]:
    """Returns lines for people: the backends of each op, the first being the choice, then why others are not live."""
    lines, reasons = [], {}
    for op, rows in backends.items():
        live = [name for name, row in rows.items() if row["live"]]
        idle = [name for name, row in rows.items() if not row["live"]]
        lines.append(f"op {op}: {', '.join(live)}" + (f" (not live: {', '.join(idle)})" if idle else ""))
        reasons |= {name: rows[name]["why"] for name in idle}
    return lines + [f"backend {name}: {why}" for name, why in reasons.items()]


def _check(name: str, test: Callable[[], str]) -> dict[str, Any]:
    """Returns the outcome of one test; whatever it raises is the finding."""
    try:
        return {"name": name, "ok": True, "detail": test()}
    except (AvatarError, ImportError, OSError, RuntimeError, ValueError, AttributeError) as error:
        return {"name": name, "ok": False, "detail": " ".join(str(error).split())}


def _package(name: str) -> str:
    return str(getattr(importlib.import_module(name), "__version__", "installed"))


def _kernels() -> str:
    """Renders two splats: the library loads, its symbols fit, and light comes out."""
    import torch

    from avatar3d.core import Gaussians
    from avatar3d.geometry import orbit
    from avatar3d.ops import splat

    one = Gaussians(
        torch.zeros(2, 3), torch.eye(4)[:2], torch.full((2, 3), -4.0), torch.full((2,), 4.0), torch.ones(2, 1, 3)
    )
    alpha = splat.rasterize(one, orbit(torch.zeros(1), size=(64, 64))).alpha
    if float(alpha.max()) < 0.5:
        raise RuntimeError("the rasterizer drew nothing; run `make native` or install the package again")
    return f"native, {torch.get_num_threads()} threads"


def _head() -> str:
    from avatar3d import heads

    head = heads.load("anny")
    return (
        f"anny: {head.faces.shape[0]} faces, {len(head.expressions)} expressions, {len(head.identities)} identity modes"
    )


def _video() -> str:
    from avatar3d.render.video import check_encoders

    check_encoders()
    return "H.264 and AAC can be written"


def _models() -> list[dict[str, Any]]:
    from avatar3d import assets

    def found(name: str) -> str:
        if assets.present(name):
            return str(assets.path(name))
        return f"not here yet; fetched on first use ({assets.ASSETS[name].requirement})"

    return [_check(f"model {name}", lambda name=name: found(name)) for name in assets.ASSETS]


def _disk() -> str:
    free = shutil.disk_usage(os.getcwd()).free
    if free < 1 << 30:
        raise RuntimeError(f"{free >> 20} MB free here; a fit needs about 1 GB for intermediate files")
    return f"{free >> 30} GB free, Python at {sys.prefix}"
