"""A fit as it runs: what is fitted, its curves, pause and stop."""

from pathlib import Path
from typing import Any

import numpy as np

from avatar3d.core import AvatarError
from avatar3d.studio.desk import Desk, put, shown
from avatar3d.studio.intake import Brought, plain_name
from avatar3d.studio.monitor import FitRequest


def build(desk: Desk, source: Path | None) -> None:
    """Adds the form of a fit and its curves."""
    gui, monitor, jobs = desk.gui, desk.monitor, desk.jobs
    told = gui.add_markdown("Drop a photo or a video on the page, or name a file.")
    clip = gui.add_text("Clip", str(source or ""), hint="Video, picture, or folder of pictures on this computer")
    clip.visible = desk.local  # others shall not read this computer's files
    preset = gui.add_dropdown("Fit preset", ("fast", "quality"))
    hold_out = gui.add_slider("Hold out", 0.0, 0.9, 0.05, 0.0, hint="Share of the last frames kept back to score on")
    output = gui.add_text("Save as", "", hint="Name of the avatar's file; by default that of the clip")
    consent = gui.add_text("Consent", "", hint="How the person agreed; stored in the avatar")
    licence = gui.add_text("Licence", "", hint="Terms under which the avatar may be used; stored in it")
    start = gui.add_button("Fit", icon="player-play")
    pause = gui.add_button("Pause", icon="player-pause", visible=False)
    stop = gui.add_button("Stop and keep", icon="player-stop", visible=False)
    empty = np.array([0.0, 1.0])
    axes = ({}, {"label": "x"})
    del axes
    plots = [
        gui.add_uplot(
            (empty, empty),
            ({"label": "step"}, {"label": label, "stroke": colour, "width": 2}),
            title=label,
            height=170,
            scales={"x": {"time": False}, "y": {}},
            visible=False,
        )
        for label, colour in (("loss", "#c0392b"), ("PSNR (dB)", "#2a6fdb"))
    ]
    drawn = [-1]

    def begun(value: Any, client: Any) -> None:
        if not clip.value.strip():
            raise AvatarError("what shall be fitted? drop a photo or video on the page, or name a file")
        if not desk.local:
            raise AvatarError("files of this computer are named only from this computer; drop a file on the page")
        about = {"consent": consent.value.strip(), "licence": licence.value.strip()}
        begin(desk, Path(clip.value.strip()), preset.value, hold_out.value, output.value.strip(), client, about)

    def paused(value: Any, client: Any) -> None:
        monitor.pause(not monitor.paused)

    desk.heard(start, begun)
    desk.heard(pause, paused)
    desk.heard(stop, lambda value, client: monitor.stop())

    def refresh() -> None:
        running = jobs.running and monitor.request is not None and jobs.report.name.startswith("fit")
        shown(pause, running)
        shown(stop, running)
        if start.disabled != jobs.running:
            start.disabled = jobs.running
        label = "Go on" if monitor.paused else "Pause"
        if pause.label != label:
            pause.label = label
        text = _told(desk)
        if text and told.content != text:
            told.content = text
        steps, losses, psnrs = monitor.curves()
        if len(steps) > 1 and drawn[0] != int(steps[-1]):
            drawn[0] = int(steps[-1])
            for plot, values in zip(plots, (losses, psnrs), strict=True):
                plot.data = (steps, values)
                shown(plot, True)

    desk.refreshes.append(refresh)
    put(preset, "fast")


def _told(desk: Desk) -> str:
    monitor, report = desk.monitor, desk.jobs.report
    if monitor.request is None:
        return ""
    lines = [f"**{monitor.request.source.name}** to `{monitor.request.output.name}`"]
    if report.name.startswith("fit"):
        state = "paused" if monitor.paused and report.state == "running" else report.state
        lines.append(f"{state}: {report.stage} {report.done}/{report.total} {report.note}".rstrip())
        if report.state == "failed":
            lines.append("The last picture of it and all else are kept. Press `Fit` to go on from its checkpoint.")
    step = monitor.step
    if step is not None:
        lines.append(
            f"step {step.index} of {step.total}, loss {step.loss:.4f}, {step.psnr:.2f} dB, {step.seconds:.0f} s"
        )
    return "\n\n".join(lines)


def begin(
    desk: Desk,
    source: Path,
    preset: str,
    hold_out: float,
    name: str,
    client: Any,
    about: dict[str, Any] | None = None,
) -> None:
    """Starts a fit whose avatar goes into the studio's folder; asks before it replaces one."""
    output = desk.folder / plain_name(name or source.stem, ".a3d")
    request = FitRequest(source, output, preset, hold_out, {k: v for k, v in (about or {}).items() if v})
    if output.exists() and client is not None:
        desk.confirm(
            client,
            "Replace?",
            f"`{output.name}` is there already. Shall the fit replace it when it is done?",
            "Replace",
            lambda: desk.monitor.start(request),
        )
        return
    if not source.exists():
        raise AvatarError(f"{source}: no such file")
    desk.monitor.start(request)


def brought(desk: Desk, file: Brought, client: Any) -> None:
    """Fits a picture or a video that somebody dropped, with the fast preset."""
    begin(desk, file.path, "fast", 0.0, file.path.stem, client)
