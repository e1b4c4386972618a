"""Trains the network that hears the jaw (`avatar3d/drive/jaw.py`).

    python -m tools.train_jaw ../shared/data/audio_blendshape

    python -m tools.train_jaw ../shared/data/audio_blendshape --test    # the card gets the figures of the test take

The data: 656 s of Mandarin by one speaker with facial curves at 30 a second (FACEGOOD, MIT licence). Takes 2_01 to
2_04 train, 2_05 and 3_15 validate, 3_16 tests: only `--test` reads it, after training. Settings, the number of epochs
and of members among them, were chosen on the other takes; the shipped weights are then trained on training and
validation takes together, those of the training takes alone go to `build/jaw`. Several members, alike but for their
seed, are averaged and written as one network. Four minutes on one core.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import save_file
from scipy.linalg import block_diag
from torch import nn

from avatar3d.drive.jaw import BANDS, QUIET, TAPS, Level, windows
from avatar3d.files import replacing
from avatar3d.speech.features import features
from avatar3d.speech.sound import read_sound

TRAIN, VALIDATE, TEST = ("2_01", "2_02", "2_03", "2_04"), ("2_05", "3_15"), "3_16"
CURVES = (
    ("mouth_stretch_c",),  # the jaw: what is wanted; the others are learnt beside it because that helps
    ("mouth_funnel_dl", "mouth_funnel_ul", "mouth_oh_c", "mouth_pucker_l", "mouth_oo_c"),
    ("mouth_lowerLipDepress_l", "mouth_upperLipRaise_l"),
    ("mouth_press_l", "mouth_suck_ul", "mouth_suck_dl"),
)
SCALE, BIAS = 0.72, 0.015
"""From the capture's jaw to ARKit's: means in open vowels become those of iPhone captures; what remains in silence."""
ROOT = Path(__file__).parents[1]
HIDDEN, DROP, EPOCHS, BATCH, STEP = 64, 0.3, 30, 256, 2e-3
MEMBERS = 3
"""Networks in the mean, which correlates better than its members do: by .003 to .004 on the validation takes."""


def take(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns mel bands at 100 and curves at 30 frames a second."""
    table = np.load(folder / "facegood_1114_weights.npz")
    names = list(table["names"])
    curves = np.stack([table[f"w_{name}"][:, [names.index(c) for c in group]].sum(1) for group in CURVES], 1)
    return features(read_sound(folder / f"facegood_1114_{name}.flac")).mel, curves.astype(np.float32)


def augmented(mel: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Returns the bands as of another room, another head, with noise; every second time as they are."""
    if rng.random() > 0.5:
        return mel
    if rng.random() < 0.9:
        mel = mel + np.interp(np.arange(BANDS), [0, 8, 16, 24, 32, 39], rng.normal(0, 0.8, 6))
    if rng.random() < 0.7:
        at = np.clip(np.arange(BANDS) * rng.uniform(0.88, 1.14) + rng.uniform(-1, 1), 0, BANDS - 1)
        low = np.floor(at).astype(int)
        share = at - low
        mel = mel[:, low] * (1 - share) + mel[:, np.minimum(low + 1, BANDS - 1)] * share
    if rng.random() < 0.6:
        tilt = np.linspace(0, rng.normal(0, 1.5), BANDS)
        noise = rng.normal(0, 0.5, mel.shape) + mel.max() - rng.uniform(3.5, 10) + tilt
        mel = np.logaddexp(mel, noise)
    return mel.astype(np.float32)


def seen(mel: np.ndarray, count: int) -> torch.Tensor:
    """Returns the network's inputs at the times of `count` curve frames."""
    before, after = -TAPS[0], TAPS[-1]
    edge = lambda n: np.full((n, BANDS), QUIET)  # noqa: E731
    bands = np.concatenate([edge(before), Level().push(mel), edge(after + 4)])
    rows = windows(bands, before, len(bands) - before - after, after)
    return torch.from_numpy(rows[np.minimum((np.arange(count) / 0.3).round().astype(int), len(rows) - 1)])


def trained(takes: list[tuple[np.ndarray, np.ndarray]], seed: int) -> nn.Sequential:
    """Returns the network, in evaluation mode."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = nn.Sequential(
        *(nn.Linear(len(TAPS) * BANDS, HIDDEN), nn.ReLU(), nn.Dropout(DROP)),
        *(nn.Linear(HIDDEN, HIDDEN // 2), nn.ReLU(), nn.Dropout(DROP)),
        nn.Linear(HIDDEN // 2, len(CURVES)),
    )
    wanted = torch.from_numpy(np.concatenate([curves for _, curves in takes]))
    spread = wanted.std(0) + 1e-4
    weight = torch.tensor([3.0] + [1.0] * (len(CURVES) - 1))
    steps = EPOCHS * (len(wanted) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), STEP, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, STEP, total_steps=steps + 1)
    for _ in range(EPOCHS):
        inputs = torch.cat([seen(augmented(mel, rng), len(curves)) for mel, curves in takes])
        order = torch.randperm(len(inputs))
        for begin in range(0, len(order) - BATCH + 1, BATCH):
            rows = order[begin : begin + BATCH]
            loss = ((((net(inputs[rows]) - wanted[rows]) / spread) ** 2).mean(0) * weight).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()


def score(nets: list[nn.Sequential], mel: np.ndarray, curves: np.ndarray) -> float:
    """Returns the correlation of the members' mean jaw with its curve."""
    rows = seen(mel, len(curves))
    with torch.no_grad():
        found = torch.stack([net(rows)[:, 0] for net in nets]).mean(0).numpy()
    return float(np.corrcoef(found, curves[:, 0])[0, 1])


def merged(nets: list[nn.Sequential]) -> dict[str, np.ndarray]:
    """Returns one network whose jaw is the members' mean: layers side by side, and no weight from one to another."""
    members = [[m for m in net if isinstance(m, nn.Linear)] for net in nets]
    tensors = {}
    for k, layers in enumerate(zip(*members, strict=True)):
        weights = [layer.weight.detach().numpy().T for layer in layers]
        biases = [layer.bias.detach().numpy() for layer in layers]
        if k == 0:
            weight, bias = np.concatenate(weights, 1), np.concatenate(biases)
        elif k + 1 < len(members[0]):
            weight, bias = block_diag(*weights), np.concatenate(biases)
        else:
            weight = SCALE / len(nets) * np.concatenate([w[:, :1] for w in weights])
            bias = SCALE * (np.mean([b[:1] for b in biases], 0) - BIAS)
        tensors |= {f"weight{k}": np.ascontiguousarray(weight, np.float32), f"bias{k}": bias.astype(np.float32)}
    return tensors


def save(nets: list[nn.Sequential], card: dict, folder: Path) -> None:
    """Writes the jaw's part of the networks and their card."""
    folder.mkdir(exist_ok=True, parents=True)
    with replacing(folder / "jaw.safetensors") as path:
        save_file(merged(nets), path)
    with replacing(folder / "jaw.json") as path:
        path.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with facegood_1114_*.flac and facegood_1114_weights.npz")
    parser.add_argument("--out", type=Path, default=ROOT / "avatar3d" / "drive" / "data")
    parser.add_argument("--seed", type=int, default=0, help="of the first member")
    parser.add_argument("--test", action="store_true", help="score both networks on the test take: for final figures")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    takes = {name: take(arguments.folder, name) for name in (*TRAIN, *VALIDATE)}
    seeds = range(arguments.seed, arguments.seed + MEMBERS)
    apart = [trained([takes[name] for name in TRAIN], seed) for seed in seeds]
    scores = {name: round(score(apart, *takes[name]), 3) for name in VALIDATE}
    print("validation, trained on the training takes:", scores, flush=True)
    shipped = [trained(list(takes.values()), seed) for seed in seeds]
    tested = None
    if arguments.test:
        held = take(arguments.folder, TEST)
        tested = {
            f"trained on {' '.join(TRAIN)} only": round(score(apart, *held), 3),
            f"shipped: trained on {' '.join((*TRAIN, *VALIDATE))}": round(score(shipped, *held), 3),
        }
        print("test:", tested)
    width = MEMBERS * HIDDEN
    card = {
        "what": "jaw opening (ARKit jawOpen) from 40 mel bands over 280 ms; mean of "
        f"{MEMBERS} perceptrons {len(TAPS) * BANDS}-{HIDDEN}-{HIDDEN // 2}-1 that differ by their seed, "
        f"as one of {len(TAPS) * BANDS}-{width}-{width // 2}-1",
        "made by": "tools/train_jaw.py",
        "data": "FACEGOOD-Audio2Face code/train (MIT licence, copyright FACEGOOD): takes 2_01 to 2_05 and 3_15 of one "
        "Mandarin speaker, 10.1 minutes; none of the recordings is part of the file",
        "augmentation": "spectral tilt, vocal tract length .88 to 1.14, noise",
        "steps": f"{EPOCHS} epochs, fixed beforehand; nothing was chosen on the test take",
        "validation (trained without it)": {"correlation with the captured jaw": scores},
        f"test take {TEST}, network alone": {"correlation with the captured jaw": tested or "not measured"},
        "test of the whole mouth": "docs/speech.md, by tools/bench_speech.py",
        "limits": "one speaker, one language and one way of capturing; shouting, singing and whispering were not heard",
    }
    save(apart, card | {"data": f"takes {' '.join(TRAIN)} only; not shipped"}, ROOT / "build" / "jaw")
    save(shipped, card, arguments.out)


if __name__ == "__main__":
    main()
