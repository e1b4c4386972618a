"""Judges the person matte where its truth is known, and its flicker where nothing moves.

    python tools/bench_matte.py CUT.mp4 SCENE.mp4 [SCENE.mp4 ...]

The person of CUT (a clip before a plain, still background) is cut out with that background known and laid over the
empty scenes of the other clips, moving, with sensor noise and JPEG. Printed for each scene, in a band of 10 pixels
around the true edge above the shoulders: mean error of the matte, and mean error of its change between frames, for the
network alone, refined, steadied, and corrected by the backdrop. Then, for every clip itself, the mean change of the
matte in that band where the picture stands still. The truth leans on the same network, so it ranks recipes; it does
not measure absolute accuracy.
"""

import argparse
from pathlib import Path

import cv2
import numpy as np

from avatar3d.capture import matte
from avatar3d.capture.backdrop import find_backdrop
from avatar3d.capture.landmarks import Landmarker
from avatar3d.capture.segment import Segmenter
from avatar3d.capture.video import open_video

FRAMES = 40
STEPS = ("network", "refined", "steadied", "backdrop")


def coarse(frames: list[np.ndarray], segmenter: Segmenter, landmarker: Landmarker) -> list[np.ndarray]:
    """The network's two looks, with the face found anew in each frame."""
    squares = []
    for image in frames:
        found = landmarker.find(image)
        squares.append(matte.head_square(found[0].landmarks, image.shape[1], image.shape[0]) if found else None)
    return [matte.coarse(segmenter, image, square) for image, square in zip(frames, squares, strict=True)]


def spread(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Carries the colours under a mask into the rest, nearest first."""
    image, mask = image * mask[..., None], mask.astype(np.float32)
    radius = 4
    while mask.min() == 0 and radius < 512:
        window = (2 * radius + 1,) * 2
        share = cv2.blur(mask, window)
        near = cv2.blur(image, window) / np.maximum(share, 1e-4)[..., None]
        new = (mask == 0) & (share > 1e-3)
        image[new], mask[new] = near[new], 1
        radius *= 2
    return image


def cut_out(frames: list[np.ndarray], rough: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray]]:
    """True mattes and colours of a person before a plain background."""
    result = []
    for frame, alpha in zip(frames, rough, strict=True):
        image = frame.astype(np.float32) / 255
        sure = matte.trimap(matte.refine(image, alpha), 9)
        back, front = spread(image, sure == 0), spread(image, sure == 255)
        across = front - back
        solved = ((image - back) * across).sum(-1) / np.maximum((across**2).sum(-1), 1e-6)
        away = np.linalg.norm(image - back, axis=-1)
        solved = np.where(away < 0.025, 0, np.maximum(np.clip(solved, 0, 1), np.clip(away * 10 - 1, 0, 1)))
        truth = np.where(sure == 128, solved, sure / 255).astype(np.float32)
        colour = (image - (1 - truth[..., None]) * back) / np.maximum(truth, 0.25)[..., None]
        colour = np.where(truth[..., None] < 0.3, spread(image, truth > 0.97), np.clip(colour, 0, 1))
        result.append((truth, colour.astype(np.float32)))
    return result


def composed(person: list[tuple[np.ndarray, np.ndarray]], scene: np.ndarray) -> tuple[list, list]:
    """Frames of the person swaying before a scene, as a camera would deliver them, and their true mattes."""
    rng = np.random.default_rng(0)
    height, width = person[0][0].shape
    scene = cv2.resize(scene, (width, height), interpolation=cv2.INTER_AREA)
    frames, truths = [], []
    for i, (truth, colour) in enumerate(person):
        down = round(12 + 15 * np.sin(i / 4))
        move = np.array([[1.0, 0, round(40 * np.sin(i / 6))], [0, 1, down]])
        truth, colour = (
            cv2.warpAffine(x, move, (width, height), borderMode=cv2.BORDER_REPLICATE) for x in (truth, colour)
        )
        truth[: max(down, 0)] = 0
        image = colour * truth[..., None] + scene * (1 - truth[..., None]) + rng.normal(0, 0.008, colour.shape)
        packed = cv2.imencode(".jpg", np.clip(image * 255, 0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
        frames.append(np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR)))
        truths.append(truth)
    return frames, truths


def recipes(frames: list[np.ndarray], segmenter: Segmenter, landmarker: Landmarker):
    """Yields each frame with its matte after each step of the recipe."""
    backdrop = find_backdrop(frames, segmenter)
    last: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    for frame, alpha in zip(frames, coarse(frames, segmenter, landmarker), strict=True):
        image = frame.astype(np.float32) / 255
        refined = matte.refine(image, alpha)
        mattes = {"network": alpha, "refined": refined, "steadied": refined}
        mattes["backdrop"] = refined if backdrop is None else backdrop.correct(image, refined)
        for name in ("steadied", "backdrop"):
            if name in last:
                mattes[name] = matte.steady(image, mattes[name], last[name])
            last[name] = image, mattes[name]
        yield image, mattes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cut", type=Path)
    parser.add_argument("scenes", type=Path, nargs="+")
    options = parser.parse_args()
    segmenter, landmarker = Segmenter(), Landmarker()
    clips = {path: open_video(path, None, 0.0, None) for path in (options.cut, *options.scenes)}
    start = max(0, min(60, len(clips[options.cut]) - FRAMES))
    plain = [image for i, image in enumerate(clips[options.cut]) if start <= i < start + FRAMES]
    person = cut_out(plain, coarse(plain, segmenter, landmarker))
    shoulders = int(0.77 * plain[0].shape[0])
    for path in options.scenes:
        backdrop = find_backdrop(clips[path], segmenter)
        if backdrop is None:
            print(f"{path.name}: the camera moves; not a scene to use")
            continue
        frames, truths = composed(person, spread(backdrop.image, backdrop.known))
        errors: dict[str, list] = {name: [] for name in STEPS}
        bands = []
        for truth, (_, mattes) in zip(truths, recipes(frames, segmenter, landmarker), strict=True):
            bands.append(matte.trimap(truth, 10) == 128)
            bands[-1][shoulders:] = False
            for name in STEPS:
                errors[name].append(mattes[name] - truth)
        for name in STEPS:
            level = np.mean([np.abs(e)[b].mean() for e, b in zip(errors[name], bands, strict=True)])
            change = [
                np.abs(e - d)[b].mean() for d, e, b in zip(errors[name], errors[name][1:], bands[1:], strict=False)
            ]
            print(f"before {path.name:28s} {name:9s} error {level:.4f}  of change {np.mean(change):.4f}")
    for path, video in clips.items():
        frames = [image for i, image in enumerate(video) if 40 <= i < 64]
        before: tuple | None = None
        flicker: dict[str, list] = {name: [] for name in STEPS}
        for image, mattes in recipes(frames, segmenter, landmarker):
            if before is not None:
                still = cv2.blur(np.abs(image - before[0]).max(-1), (5, 5)) < 0.02
                still &= matte.trimap(mattes["refined"], 10) == 128
                for name in STEPS:
                    flicker[name].append(np.abs(mattes[name] - before[1][name])[still].mean())
            before = image, mattes
        print(f"flicker of {path.name:24s} " + "  ".join(f"{name} {np.mean(flicker[name]):.4f}" for name in STEPS))


if __name__ == "__main__":
    main()
