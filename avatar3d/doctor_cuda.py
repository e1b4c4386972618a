"""The CUDA kernels on a real device: checked by golden data, timed beside gsplat, one block to paste into an issue."""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from avatar3d import __version__, selftest
from avatar3d.bench import head_camera, head_scene, smooth_picture
from avatar3d.core import AvatarError
from avatar3d.doctor_work import work
from avatar3d.ops import backends, gpu, image, splat

SCENES = {"cuda": ((10_000, 256), (50_000, 512), (100_000, 1024)), "emulated": ((200, 32),)}
"""Splats and image side of the timed runs; the emulator, some thousand times slower, shows that the way works."""


def doctor_cuda(kind: str = "cuda", repeat: int = 20) -> dict[str, Any]:
    """Returns `{"device", "about", "errors", "times", "ok", "block"}`; `block` is the text to paste.

    Args:
        kind: `cuda`, or `emulated` (the same path without a device, for tests).
        repeat: Runs of each timing; medians count.

    Raises:
        AvatarError: There is no device, in one line that says why.
    """
    try:
        library = gpu.library(kind)
    except AvatarError as error:
        raise AvatarError(f"no CUDA device to test: {error}") from error
    device = "cuda" if kind == "cuda" else "cpu"
    about = _about(kind, library.origin)
    errors: list[dict[str, Any]] = []
    for name, case in selftest.CASES.items():
        try:
            errors += selftest.compare(name, kind, device)
        except Exception as error:  # a launch that fails is a finding, and the other kernels are still to be tried
            said = " ".join(str(error).split())[:200]
            errors.append({"op": case.op, "case": name, "output": said, "error": None, "limit": None, "ok": False})
    ok = all(row["ok"] for row in errors)
    times = _times(kind, device, repeat) if ok else []
    report = {"device": about["device"], "about": about, "errors": errors, "times": times, "ok": ok}
    return report | {"block": _block(report)}


def _about(kind: str, origin: str) -> dict[str, str]:
    if kind == "cuda":
        properties = torch.cuda.get_device_properties(0)
        memory = f"{properties.total_memory >> 20} MB"
        name = (
            f"{properties.name}, {gpu.arch(torch.device('cuda', 0))}, {properties.multi_processor_count} SMs, {memory}"
        )
    else:
        name = "emulated (no device: times mean nothing)"
    gsplat = backends.rows()["splat"]["gsplat"]
    return {
        "device": name,
        "avatar3d": __version__,
        "torch": f"{torch.__version__}, CUDA {torch.version.cuda}; driver for CUDA {gpu.driver_version()}",
        "kernels": origin,
        "gsplat": gsplat.why if gsplat.live else "not live",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
    }


def _times(kind: str, device: str, repeat: int) -> list[dict[str, Any]]:
    """Returns rows of what, splats, size, ms: the op by each live backend, and every kernel of ours by itself."""
    rows: list[dict[str, Any]] = []
    rivals = ["gsplat"] if kind == "cuda" and backends.rows()["splat"]["gsplat"].live else []
    for splats, size in SCENES[kind]:
        scene, target = head_scene(splats).to(device), smooth_picture(size).to(device)
        camera = head_camera(size).to(device)
        for backend in (kind, *rivals):
            leaves = scene.map(lambda x: x.clone().requires_grad_())

            def forward(backend: str = backend, scene=scene, camera=camera) -> None:
                with torch.no_grad():
                    splat.rasterize(scene, camera, backend=backend)

            def both(backend: str = backend, leaves=leaves, camera=camera, target=target) -> None:
                rgb = splat.rasterize(leaves, camera, backend=backend).rgb
                image.l1_ssim(rgb[None], target[None], ssim_share=0.2, backend=kind).backward()

            for what, run in (("forward", forward), ("forward, loss and backward", both)):
                row = {"what": f"{what}, {backend}", "splats": splats, "size": size, "launches": None}
                rows.append(row | {"ms": _median(run, device, repeat)})
            if backend == kind:
                with_kernels = [both] * max(3, repeat // 4)
                for name, launches, ms in _kernels(kind, device, with_kernels):
                    rows.append({"what": name, "splats": splats, "size": size, "launches": launches, "ms": ms})
    for what, run in work(kind, device, 1.0 if kind == "cuda" else 0.002).items():
        row = {"splats": None, "size": None}
        rows.append(row | {"what": what, "launches": None, "ms": _median(run, device, repeat)})
        for name, launches, ms in _kernels(kind, device, [run] * max(3, repeat // 4)):
            rows.append(row | {"what": name, "launches": launches, "ms": ms})
    return rows


def _median(run: Callable[[], object], device: str, repeat: int) -> float:
    """Returns milliseconds: by events on a device, by the clock elsewhere, after two runs to warm up."""
    times = []
    for i in range(repeat + 2):
        if device == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            run()
            end.record()
            end.synchronize()
            times.append(start.elapsed_time(end))
        else:
            begin = time.perf_counter()
            run()
            times.append((time.perf_counter() - begin) * 1e3)
        del times[: i < 2]
    return round(statistics.median(times), 4)


def _kernels(kind: str, device: str, runs: Sequence[Callable[[], object]]) -> list[tuple[str, float, float]]:
    """Returns (kernel, launches in a run, median milliseconds) of the runs, in the order of their share."""
    library, text = gpu.library(kind), gpu.Host(torch.zeros(1 << 16, dtype=torch.uint8))
    library.call("a3d_gpu_timing", 1, text, text.tensor.numel())
    for run in runs:
        run()
    if device == "cuda":
        torch.cuda.synchronize()
    library.call("a3d_gpu_timing", 0, text, text.tensor.numel())
    found = []
    for line in _string(text.tensor).splitlines():
        name, launches, ms = line.split()
        found.append((name, int(launches) / len(runs), float(ms)))
    return sorted(found, key=lambda row: -row[1] * row[2])


def _string(text: Tensor) -> str:
    return bytes(text.tolist()).split(b"\0")[0].decode()


def _block(report: dict[str, Any]) -> str:
    """Returns the report as lines of plain text."""
    lines = ["```", "avatar3d doctor --cuda"]
    lines += [f"{key}: {value}" for key, value in report["about"].items()]
    lines.append(
        f"golden data: {'all right' if report['ok'] else 'WRONG, see below'} (largest error, of the largest value)"
    )
    for case in dict.fromkeys(row["case"] for row in report["errors"]):
        rows = [row for row in report["errors"] if row["case"] == case]
        failed = [row for row in rows if not row["ok"]]
        if any(row["error"] is None for row in rows):
            lines.append(f"  {case:12} FAILED: {rows[0]['output']}")
            continue
        worst = max(rows, key=lambda row: row["error"] / row["limit"])
        lines.append(
            f"  {case:12} {worst['error']:.1e} ({worst['output']}; limit {worst['limit']:.1e}), {len(rows)} outputs"
        )
        lines += [f"    WRONG {row['output']}: {row['error']:.1e}, limit {row['limit']:.1e}" for row in failed]
    if report["times"]:
        lines.append("milliseconds (median)")
    for row in report["times"]:
        count = "" if row["launches"] is None else f" x {row['launches']:g}"
        scene = f"{row['splats']:>7} splats {row['size']:>5} px" if row["splats"] else " " * 23
        lines.append(f"  {scene}  {row['ms']:9.4f}{count}  {row['what']}")
    return "\n".join([*lines, "```"])
