"""A folder of calibrated pictures as a `Clip`, whatever they show: no face is looked for."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from avatar3d.capture import cameras, multiview
from avatar3d.capture.take import CaptureOptions
from avatar3d.core import AvatarError, Clip


def scene(
    source: Path | str,
    options: CaptureOptions | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Clip:
    """Returns the pictures of a calibrated folder (transforms.json, COLMAP's text files, an OpenCV yml) as a clip.

    Of several moments seen by several cameras the first is taken. The masks are those that come with the pictures, or
    their transparency; without either there are none.

    Args:
        source: The folder.
        options: `size` and `fps` alone count.
        progress: Called with (1, 1): nothing is measured.

    Raises:
        AvatarError: The folder has no calibration, or one camera that stands still; or see `capture`.
    """
    source, options = Path(source), options or CaptureOptions()
    calibration = cameras.find(source) if source.is_dir() else None
    if calibration is None:
        raise AvatarError(f"{source}: no calibration; a scene is a folder with transforms.json (docs/captures.md)")
    shots = multiview.open_shots(calibration, multiview.Asked(options.size, False, 0, None))
    moments = Counter(shot.step for shot in shots)
    if len(moments) > 1 and max(moments.values()) > 1:  # else a camera that went around what stood still
        shots = [shot for shot in shots if shot.step == min(moments)]
    frames = multiview.Posed(shots, options.size)
    masked = all(shot.mask is not None or multiview.transparent(shot.image) for shot in shots)
    camera, times = multiview.cameras_of(frames)
    if camera.w2c.dim() == 2:
        raise AvatarError(f"{calibration}: one camera that stands still shows no depth; give views from several places")
    if progress is not None:
        progress(1, 1)
    return Clip(
        source=source,
        width=frames.size[0],
        height=frames.size[1],
        fps=options.fps or 25.0,
        frames=frames,
        masks=multiview.PosedMasks(frames) if masked else None,
        camera=camera,
        times=np.zeros_like(times) if times is not None else None,
        held=np.array([s.held for s in shots]) if any(s.held for s in shots) else None,
    )
