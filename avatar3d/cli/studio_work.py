"""The commands that open a studio: look at an avatar, or watch a fit."""

import contextlib
import webbrowser
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from avatar3d.cli.console import Console
from avatar3d.core import AvatarError
from avatar3d.studio import FitRequest, StudioOptions, open_studio

if TYPE_CHECKING:
    from avatar3d.cli.fit_verbs import Fit
    from avatar3d.cli.view_verbs import View


def run_studio(given: "View", console: Console) -> Mapping[str, Any]:
    """Shows a studio until the keyboard interrupts."""
    from avatar3d.studio.intake import kind_of

    source, request = given.source, None
    clip = source is not None and (source.is_dir() or kind_of(source.name) in ("picture", "video"))
    if clip and source is not None:
        if not source.exists():
            raise AvatarError(f"{source}: no such file")
        output = Path.cwd() / f"{source.stem}.a3d"
        if output.exists():
            console.note(f"{output.name} is there already: press Fit in the window to replace it, after it asked")
        else:
            request = FitRequest(source, output)
    if given.clip is not None and not given.clip.exists():
        raise AvatarError(f"{given.clip}: no such file")
    folder = source.parent if source is not None and not clip else Path.cwd()
    options = StudioOptions(source, given.clip, request, folder, given.port, given.host)
    return _shown(options, given.no_browser, console)


def run_watched_fit(given: "Fit", about: dict[str, Any], console: Console) -> Mapping[str, Any]:
    """Makes an avatar before the eyes of whoever opens the window, which stays until the keyboard interrupts."""
    from avatar3d.cli.work import check_output

    check_output(given.output, ".a3d")
    if not given.source.exists():
        raise AvatarError(f"{given.source}: no such file")
    request = FitRequest(given.source, given.output, given.preset, given.hold_out, about, given.field())
    options = StudioOptions(given.source, None, request, given.output.parent, given.port)
    told = _shown(options, given.no_browser, console)
    if not given.output.exists():
        why = told["fit"] or "stopped"
        raise AvatarError(f"{given.output}: the fit did not end ({why}); the same command continues it")
    return {**told, "output": str(given.output)}


def _shown(options: StudioOptions, no_browser: bool, console: Console) -> dict[str, Any]:
    studio = open_studio(options)
    kept = None
    console.note(f"{studio.url} is the studio; Ctrl-C ends it")
    with contextlib.suppress(KeyboardInterrupt):  # a second one, while it closes, ends it as well
        try:
            if not no_browser:
                webbrowser.open(studio.url)
            studio.wait()
        except KeyboardInterrupt:
            pass
        finally:
            kept = studio.close()
    if kept is not None:
        console.note(f"unsaved changes are in {kept}")
    report = studio.jobs.report
    return {"url": studio.url, "unsaved": None if kept is None else str(kept), "fit": report.note or None}
