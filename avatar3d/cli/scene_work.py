"""`avatar3d fit --body field --head none`: posed pictures of anything become a field."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from avatar3d import scenes, store
from avatar3d.cli.console import Console
from avatar3d.cli.work import check_output
from avatar3d.core import AvatarError, first_of

if TYPE_CHECKING:
    from avatar3d.cli.fit_verbs import Fit


def run_scene(asked: "Fit", about: dict[str, Any], console: Console) -> Mapping[str, Any]:
    """Fits a scene and writes it.

    Raises:
        AvatarError: Options of heads, or another body than a field.
    """
    from avatar3d.fit.field_scene import PRESETS, SceneOptions

    if asked.body != "field" or asked.condition != "expression" or asked.studio:
        raise AvatarError("--head none makes a field of a scene: give --body field, no --condition and no --studio")
    first_of(tuple(PRESETS), asked.preset)
    options = SceneOptions(steps=PRESETS[asked.preset] if asked.steps is None else asked.steps)
    options = replace(options, settings=replace(options.settings, encoding=asked.encoding))
    options.check()
    check_output(asked.output, ".a3d")
    checkpoint = asked.output.with_suffix(".fit-checkpoint")
    made = scenes.make_scene(asked.source, options, asked.hold_out, about, checkpoint, console.progress)
    store.save(made, asked.output)
    checkpoint.unlink(missing_ok=True)
    assert made.field is not None
    cells, seconds = int(made.field.occupied.sum()), made.about["seconds"]
    console.note(f"{asked.output}: a field of {cells} cells in {sum(seconds.values()):.0f} s")
    return {
        "output": str(asked.output),
        "body": "field",
        "head": None,
        "cells": cells,
        "frames": made.about["frames"],
        "fitted_frames": made.about["fitted"],
        "hold_out": asked.hold_out,
        "bytes": asked.output.stat().st_size,
        "seconds": seconds,
    }
