"""What the commands do: check the output first, call the verbs, write the file, say what came out."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from avatar3d import pipeline, scenes, store
from avatar3d.cli.console import Console
from avatar3d.core import AvatarError, Clip
from avatar3d.files import check_writable

if TYPE_CHECKING:
    from avatar3d.cli.fit_verbs import Distil, Fit
    from avatar3d.cli.verbs import BenchFit


def check_output(path: Path, *suffixes: str) -> None:
    """Raises an `AvatarError` before any long work if a result could not be written to `path` afterwards."""
    if path.suffix.lower() not in suffixes:
        raise AvatarError(f"{path}: the name of the output must end in {' or '.join(suffixes)}")
    check_writable(path)


def run_capture(source: Path, matte: Path | None, console: Console) -> Mapping[str, Any]:
    """Reads a clip and reports on it."""
    from avatar3d.capture import capture

    if matte is not None:
        check_output(matte, ".mp4")
    start = time.perf_counter()
    clip = capture(source, progress=pipeline.stage(console.progress, "capture"))
    seconds = time.perf_counter() - start
    faces = 0 if clip.landmarks is None else int(np.isfinite(clip.landmarks[:, 0, 0]).sum())
    if matte is not None:
        from avatar3d.render.video import write_video

        write_video(matte, _on_white(clip), clip.fps, clip.audio, clip.rate)
    console.note(f"{source}: {len(clip)} frames, {clip.width}x{clip.height}, {clip.fps:g} a second; a face in {faces}")
    return {
        "source": str(source),
        "frames": len(clip),
        "steps": int(clip.steps.max()) + 1,
        "cameras": 1 if clip.camera is None or clip.times is None else len(clip.camera.w2c.unique(dim=0)),
        "faces": faces,
        "width": clip.width,
        "height": clip.height,
        "fps": clip.fps,
        "audio_seconds": clip.audio.shape[1] / clip.rate if clip.audio is not None and clip.rate else 0.0,
        "seconds": {"capture": seconds},
    }


def run_synthetic(mesh: str, output: Path, options: Any, console: Console) -> Mapping[str, Any]:
    """Makes a synthetic capture."""
    from avatar3d.capture.synthetic import synthetic

    clock = time.perf_counter()
    made = synthetic(mesh, output, options, pipeline.stage(console.progress, "render"))
    console.note(f"{output}: {made['pictures']} pictures, {made['views']} views and {made['held_views']} to score on")
    return {**made, "seconds": time.perf_counter() - clock}


def _on_white(clip: Clip) -> Iterator[np.ndarray]:
    masks = clip.masks
    if masks is None:
        raise AvatarError(f"{clip.source}: captured without a matte")
    for frame, mask in zip(clip.frames, masks, strict=True):
        alpha = mask[..., None].astype(np.float32) / 255
        yield (frame * alpha + 255 * (1 - alpha) + 0.5).astype(np.uint8)


def run_track(
    source: Path, output: Path, overlay: Path | None, identity: Path | None, console: Console
) -> Mapping[str, Any]:
    """Tracks a clip and writes the track, and the overlay if asked for."""
    from avatar3d.capture import capture
    from avatar3d.track import track

    check_output(output, ".a3d")
    if overlay is not None:
        check_output(overlay, ".mp4")
    fixed: dict[str, Any] = {}
    if identity is not None:
        known = store.load(identity)
        fixed["identity"] = known.identity
    clock = time.perf_counter()
    clip = capture(source, progress=pipeline.stage(console.progress, "capture"))
    seconds = {"capture": time.perf_counter() - clock}
    clock = time.perf_counter()
    solved = track(clip, progress=pipeline.fraction(console.progress, "track"), **fixed)
    seconds["track"] = time.perf_counter() - clock
    store.save(solved, output)
    if overlay is not None:
        from avatar3d.render.video import write_video
        from avatar3d.track.overlay import overlay as drawn

        write_video(overlay, drawn(clip, solved), clip.fps, clip.audio, clip.rate)
    missing = int((solved.quality <= 0).sum())
    console.note(f"{output}: {len(clip)} frames, {missing} without a face (bridged)")
    return {
        "output": str(output),
        "overlay": str(overlay) if overlay else None,
        "frames": len(clip),
        "bridged": missing,
        "quality": float(solved.quality.mean()),
        "focal": float(solved.camera.at(0).K[0, 0]),
        "seconds": seconds,
    }


def run_fit(asked: "Fit", about: dict[str, Any], console: Console) -> Mapping[str, Any]:
    """Makes an avatar and writes it."""
    from avatar3d.fit import drop

    output = asked.output
    check_output(output, ".a3d")
    checkpoint = output.with_suffix(".fit-checkpoint")
    body = asked.field()
    made = pipeline.make(asked.source, asked.preset, asked.hold_out, about, checkpoint, console.progress, body=body)
    store.save(made.avatar, output)
    drop(checkpoint)
    seconds, what = made.avatar.about["seconds"], f"{len(made.avatar.gaussians)} splats"
    cells = 0 if made.avatar.field is None else int(made.avatar.field.occupied.sum())
    if cells:
        what = f"a field of {cells} cells" + (f" and {what}" if len(made.avatar.gaussians) else "")
    console.note(f"{output}: {what} in {sum(seconds.values()):.0f} s")
    return {
        "output": str(output),
        "body": asked.body,
        "splats": len(made.avatar.gaussians),
        **({"cells": cells} if cells else {}),
        "frames": len(made.clip),
        "fitted_frames": len(made.track.motion),
        "hold_out": asked.hold_out,
        "bytes": output.stat().st_size,
        "seconds": seconds,
    }


def run_distil(asked: "Distil", console: Console) -> Mapping[str, Any]:
    """Turns a field into splats."""
    from avatar3d.distil import DistilOptions, distil

    check_output(asked.output, ".a3d")
    clock = time.perf_counter()
    options = DistilOptions(asked.pictures, asked.steps, size=asked.size)
    made = distil(store.load(asked.avatar), options, console.progress)
    store.save(made, asked.output)
    seconds = time.perf_counter() - clock
    console.note(f"{asked.output}: {len(made.gaussians)} splats in {seconds:.0f} s")
    return {
        "output": str(asked.output),
        "splats": len(made.gaussians),
        "pictures": asked.pictures,
        "bytes": asked.output.stat().st_size,
        "seconds": {"distil": seconds},
    }


def run_score(
    avatar: Path, clip: Path, hold_out: float | None, dump: Path | None, follow: bool, console: Console
) -> Mapping[str, Any]:
    """Scores an avatar on the held-out frames of its clip."""
    if dump is not None:
        check_writable(dump / "00000_truth.png")
    known = store.load(avatar)
    if known.head == scenes.HEAD:
        score = scenes.score_scene(known, clip, dump, hold_out, console.progress)
    else:
        score = pipeline.score_fit(known, clip, dump, hold_out, follow, console.progress)
    shown = f"PSNR {score.psnr:.2f} dB, SSIM {score.ssim:.4f}"
    if score.lpips is not None:
        shown += f", LPIPS {score.lpips:.4f}"
    if score.face["psnr"] is not None:
        shown += f"; face {score.face['psnr']:.2f} dB"
    console.note(f"{score.frames} held-out frames: {shown}")
    for note in score.notes:
        console.note(note)
    return {**score.as_json(), "poses": "picture" if follow else "landmarks"}


def run_doctor(cuda: bool, console: Console) -> Mapping[str, Any]:
    """Looks at this machine, or puts the CUDA kernels through its device."""
    if cuda:
        from avatar3d.doctor_cuda import doctor_cuda

        report = doctor_cuda()
        console.note(report["block"])
        if not report["ok"]:
            raise AvatarError("the device does not give the stored answers; please paste the block above into an issue")
        return report
    from avatar3d.doctor import doctor, summary

    report = doctor()
    for check in report["checks"]:
        console.note(f"{'ok  ' if check['ok'] else 'MISS'} {check['name']}: {check['detail']}")
    for line in summary(report["backends"]):
        console.note(line)
    return report


def run_bench(repeat: int, console: Console) -> Mapping[str, Any]:
    """Times the rasterizer."""
    from avatar3d.bench import raster

    if not 1 <= repeat <= 10_000:
        raise AvatarError(f"--repeat {repeat}: give a number from 1 to 10000")
    rows = raster(repeat=repeat)
    console.note(f"{'backend':<20} {'splats':>7} {'size':>5} {'threads':>7} {'forward ms':>11} {'both ms':>9}")
    for row in rows:
        times = [f"{row[name]:.2f}" if row[name] is not None else "-" for name in ("forward_ms", "both_ms")]
        start = f"{row['backend']:<20} {row['splats']:>7} {row['size']:>5} {row['threads']:>7}"
        console.note(f"{start} {times[0]:>11} {times[1]:>9}  {row.get('note', '')}".rstrip())
    return {"rows": rows}


def run_bench_field(repeat: int, console: Console) -> Mapping[str, Any]:
    """Times radiance fields."""
    from avatar3d import bench_field
    from avatar3d.bench_field_head import head_rows

    rows = [*bench_field.field_speed(repeat), *head_rows(repeat, bench_field.RAYS)]
    console.note(
        f"{'body':<6} {'backend':<14} {'threads':>7} {'samples/ray':>11} {'step ms':>9} {'of processor':>12} "
        f"{'128x128 fps':>11} {'256x256 fps':>11}"
    )
    for row in rows:
        fps = [f"{row[key]:.1f}" if key in row else "-" for key in ("frames_per_second_128", "frames_per_second_256")]
        start = f"{row['body']:<6} {row['backend']:<14} {row['threads']:>7} {row['samples_per_ray']:>11}"
        console.note(f"{start} {row['step_ms']:>9.1f} {row['step_cpu_ms']:>12.1f} {fps[0]:>11} {fps[1]:>11}")
    return {"rows": rows}


def run_bench_render(avatar: Path, size: int, count: int, repeat: int, console: Console) -> Mapping[str, Any]:
    """Times an avatar's frames."""
    from avatar3d.bench_render import render_speed

    result = render_speed(store.load(avatar), size, count, repeat)
    console.note(
        f"{result['frames_per_second']:.0f} frames a second: {result['splats']} splats at {size}x{size} on "
        f"{result['threads']} threads, {result['frame_ms']:.2f} ms a frame"
    )
    for name, milliseconds in result["stages"].items():
        console.note(f"  {name:<10} {milliseconds:>7.2f} ms")
    return result


def run_bench_fit(asked: "BenchFit", console: Console) -> Mapping[str, Any]:
    """Compares presets and published recipes."""
    from avatar3d.bench_fit import BenchOptions, bench_fit

    options = BenchOptions(asked.hold_out, asked.share, asked.seconds, asked.frames)
    names = [name.strip() for name in asked.presets.split(",") if name.strip()]
    result = bench_fit(asked.clips, names, asked.out, options, console.progress)
    console.note((asked.out / "table.md").read_text(encoding="utf-8"))
    console.note(f"Open {result['page']} in a browser.")
    return result
