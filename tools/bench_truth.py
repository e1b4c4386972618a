"""Fits captures whose truth is known, and says how near it came: `python -m tools.bench_truth ring arc facecap each`.

ring: LeePerrySmith from 16 views around him, scored on 4 between them. arc: from 8 views within 15 degrees of his
front, scored from 45 and 60 degrees to both sides. facecap: the Face Cap head from 3 views, fitted to the first 60 % of
random faces, scored on the rest, with the correlation of the recovered ARKit weights with the truth. each: the same
head showing one expression after another, fitted to the first 60 % of the expressions. self: the same
with the default head, which needs no data. Scans are read from the folder in AVATAR3D_DATA. `--json FILE` keeps the
numbers.
"""

import argparse
import json
import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from avatar3d import pipeline
from avatar3d.capture import divide
from avatar3d.capture.synthetic import SyntheticOptions, synthetic
from avatar3d.heads import ARKIT

SCENES: dict[str, tuple[str, dict[str, Any], float]] = {
    "ring": ("lps", {"views": 16}, 0.0),
    "arc": ("lps", {"views": 8, "arc": 15.0}, 0.0),
    "facecap": ("facecap", {"views": 3, "arc": 25.0, "motion": "random:100"}, 0.4),
    "each": ("facecap", {"views": 3, "arc": 25.0, "motion": "each:6"}, 0.4),
    "self": ("anny", {"views": 3, "arc": 25.0, "motion": "random:100", "seed": 1}, 0.4),
}
"""Mesh, how to photograph it, share of the time steps to score on."""
GROUPS = {
    "jaw": ("jawOpen",),
    "smile": ("mouthSmileLeft", "mouthSmileRight"),
    "blink": ("eyeBlinkLeft", "eyeBlinkRight"),
    "pucker": ("mouthPucker",),
    "brows": ("browInnerUp", "browDownLeft", "browDownRight", "browOuterUpLeft", "browOuterUpRight"),
}


def run(name: str, folder: Path, preset: str, size: int, dump: Path | None) -> dict[str, Any]:
    """Returns the scores of one scene."""
    mesh, how, share = SCENES[name]
    source = folder / name
    synthetic(mesh, source, SyntheticOptions(size=size, **how))
    made = pipeline.make(source, preset, share)
    division = divide(made.clip, share)
    solved = pipeline.retrack(made.avatar, made.clip, division.steps)
    shown = (dump or folder) / f"{name}-pictures"
    score = pipeline.score_tracked(made.avatar, made.clip, solved, shown, share)
    report: dict[str, Any] = {**score.as_json(), "splats": len(made.avatar.gaussians), "size": size}
    if share == 0:
        report["views"] = [by_hand(shown, i) for i in range(score.frames)]
    else:
        truth = json.loads((source / "truth.json").read_text())
        true = np.array([frame["weights"] for frame in truth["frames"]])
        report["r"] = correlations(true, solved.motion.pose.expression.numpy(), division.steps)
    return report


def by_hand(folder: Path, index: int) -> float:
    """Returns the PSNR of one scored picture, in the order of the held-out cameras."""
    truth, render = (
        np.asarray(Image.open(folder / f"{index:05d}_{kind}.png"), float) / 255 for kind in ("truth", "render")
    )
    return round(-10 * math.log10(max(((truth - render) ** 2).mean(), 1e-10)), 2)


def correlations(true: np.ndarray, found: np.ndarray, first: int) -> dict[str, dict[str, float]]:
    """Returns r by group of expressions, mean of its members: over all time steps, and over those never fitted to."""
    out: dict[str, dict[str, float]] = {}
    for label, part in (("all", slice(None)), ("novel", slice(first, None))):
        out[label] = {}
        for group, names in GROUPS.items():
            index = [i for n in names if true[part][:, (i := ARKIT.index(n))].std() > 0.03]
            values = [_r(true[part][:, i], found[part][:, i]) for i in index]
            out[label][group] = round(float(np.mean(values)), 3) if values else math.nan
    return out


def _r(a: np.ndarray, b: np.ndarray) -> float:
    return 0.0 if min(a.std(), b.std()) < 1e-6 else float(np.corrcoef(a, b)[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenes", nargs="+", choices=tuple(SCENES))
    parser.add_argument("--preset", default="fast")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--dump", type=Path, help="folder to keep the scored pictures in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report = {}
        for name in options.scenes:
            report[name] = run(name, Path(folder), options.preset, options.size, options.dump)
            print(name, json.dumps(report[name]), flush=True)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
