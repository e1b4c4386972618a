"""Trains avatar3d/speech/data/visemes.safetensors: the small causal network beside the acoustic model.

    python -m tools.speech_corpus espeak out/corpus --minutes 35    # and flite 40, piper 35
    python -m tools.real_corpus ../shared/data pocketsphinx-5.1.1-*.whl out/corpus
    python -m tools.train_phones out/corpus --minutes 5

The corpora are put into many conditions (speech_frames.py), heard by the recogniser's own front end from a cold start,
and learnt at 50 frames a second. Minutes are those of one core. The card (visemes.json) says what it was trained on.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import nn

from avatar3d.speech.front import INPUTS
from avatar3d.speech.net import AHEAD, DILATIONS, KERNEL
from avatar3d.speech.visemes import VISEMES
from tools.speech_frames import IGNORED, changed, heard, pieces

_WIDTH = 96
_SPAN, _BATCH = 200, 32  # frames (at 50 a second) and sequences in a step
_WARM = 20  # frames at the beginning of a sequence that are not counted: the network knows nothing yet
_OUT = Path(__file__).resolve().parents[1] / "avatar3d" / "speech" / "data"
COPIES = {"flite": 1, "piper": 1, "espeak": 1, "real": 4}
"""Of each corpus, in different conditions."""


class Block(nn.Module):
    """A gated causal convolution beside a shortcut."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.past = (KERNEL - 1) * dilation
        self.norm = nn.BatchNorm1d(width)
        self.along = nn.Conv1d(width, width, KERNEL, dilation=dilation, groups=width)
        self.across = nn.Conv1d(width, 2 * width, 1)
        self.back = nn.Conv1d(width, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.along(nn.functional.pad(self.norm(x), (self.past, 0)))
        a, b = self.across(y).chunk(2, 1)
        return x + self.back(torch.tanh(a) * torch.sigmoid(b))


class Net(nn.Module):
    """Inputs of two frames in, 15 logits out, `AHEAD` steps late."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2 * INPUTS, _WIDTH, 3)
        self.blocks = nn.ModuleList([Block(_WIDTH, d) for d in DILATIONS])
        self.drop = nn.Dropout(0.1)
        self.last = nn.Conv1d(_WIDTH, len(VISEMES), 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.first(nn.functional.pad(x.transpose(1, 2), (2, 0)))
        for block in self.blocks:
            h = self.drop(block(h))
        return self.last(torch.relu(h)).transpose(1, 2)


def frames(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns (inputs t 164, labels t) of a corpus at 50 frames a second, made once and kept beside it."""
    kept = folder / f"{name}.frames.safetensors"
    if not kept.is_file():
        corpus, rng = load_file(folder / f"{name}.safetensors"), np.random.default_rng(5)
        made = []
        for _ in range(COPIES[name]):
            for begin, end in pieces(corpus["first"], len(corpus["viseme"])):
                sound = corpus["sound"][begin * 160 : end * 160].astype(np.float32) / 32768
                labels = corpus["viseme"][begin:end]
                if rng.random() > 0.1:
                    sound, labels = changed(sound, labels, rng)
                made.append(heard(sound, labels))
        inputs, labels = (np.concatenate(part) for part in zip(*made, strict=True))
        save_file({"inputs": inputs.astype(np.float16), "labels": labels}, kept)
    found = load_file(kept)
    return found["inputs"].reshape(-1, 2 * INPUTS), found["labels"].reshape(-1, 2)[:, 0]


def train(sets: list[tuple[np.ndarray, np.ndarray]], minutes: float, seed: int = 0) -> tuple[Net, float]:
    """Returns the network and its running accuracy on what it learns from, after minutes of processor time."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    x, y = (np.concatenate([s[i] for s in sets]) for i in range(2))
    if len(x) < (_BATCH + 3) * _SPAN:
        raise SystemExit(f"{len(x) / 3000:.1f} minutes of speech are too little to learn from")
    often = np.bincount(y[y < IGNORED], minlength=len(VISEMES)) / (y < IGNORED).sum()
    weights = torch.tensor((1 / np.maximum(often, 0.01)) ** 0.4, dtype=torch.float32)
    net = Net()
    optimizer = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.01)
    begin, right, step, done = time.process_time(), 0.0, 0, 0.0
    while done < 1:
        starts = rng.permutation((len(x) - 2 * _SPAN) // _SPAN) * _SPAN + rng.integers(_SPAN)
        for at in range(0, len(starts) - _BATCH, _BATCH):
            done = (time.process_time() - begin) / (60 * minutes)
            if done >= 1:
                break
            spans = starts[at : at + _BATCH, None] + np.arange(_SPAN)
            inputs, labels = torch.from_numpy(x[spans].astype(np.float32)), torch.from_numpy(y[spans].astype(np.int64))
            if rng.random() < 0.5:  # a band, or what the acoustic model says, is not heard
                band, wide = int(rng.integers(0, 34)), int(rng.integers(2, 7))
                for half in (0, INPUTS):
                    inputs[:, :, half + band : half + band + wide] = 0
            for group in optimizer.param_groups:
                group["lr"] = 3e-3 * min(1, (step + 1) / 100) * (0.5 * (1 + np.cos(np.pi * done)) + 0.01)
            said = net(inputs)[:, _WARM + AHEAD :]
            wanted = labels[:, _WARM:-AHEAD].clone()
            wanted[wanted == IGNORED] = -100
            loss = nn.functional.cross_entropy(
                said.reshape(-1, len(VISEMES)), wanted.reshape(-1), weights, label_smoothing=0.05, ignore_index=-100
            )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            optimizer.step()
            step += 1
            good = float((said.argmax(-1) == wanted)[wanted >= 0].float().mean())
            right = good if step == 1 else 0.98 * right + 0.02 * good
            if step % 100 == 0:
                print(f"{done:.0%} step {step} loss {loss.item():.3f} right {right:.3f}", flush=True)
    return net.eval(), right


def tables(net: Net, often: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the weights as `avatar3d.speech.net` reads them, normalisation folded in."""
    made = {"first.w": net.first.weight.permute(2, 1, 0).reshape(-1, _WIDTH), "first.b": net.first.bias}
    for i, block in enumerate(net.blocks):
        assert isinstance(block, Block)
        norm = block.norm
        assert norm.running_var is not None and norm.running_mean is not None and block.along.bias is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        made[f"{i}.scale"], made[f"{i}.shift"] = scale, norm.bias - norm.running_mean * scale
        made[f"{i}.along.w"], made[f"{i}.along.b"] = block.along.weight[:, 0].T, block.along.bias
        made[f"{i}.across.w"], made[f"{i}.across.b"] = block.across.weight[:, :, 0].T, block.across.bias
        made[f"{i}.back.w"], made[f"{i}.back.b"] = block.back.weight[:, :, 0].T, block.back.bias
    made |= {"last.w": net.last.weight[:, :, 0].T, "last.b": net.last.bias}
    found = {name: np.ascontiguousarray(value.detach().numpy().astype(np.float16)) for name, value in made.items()}
    return found | {"often": often.astype(np.float32)}


def main() -> None:
    """Trains and writes weights and card."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=6.0)
    parser.add_argument("--out", type=Path, default=_OUT)
    given = parser.parse_args()
    torch.set_num_threads(1)
    sets = {name: frames(given.folder, name) for name in COPIES if (given.folder / f"{name}.safetensors").is_file()}
    net, right = train(list(sets.values()), given.minutes)
    labels = np.concatenate([y for _, y in sets.values()])
    often = np.bincount(labels[labels < IGNORED], minlength=len(VISEMES)) / (labels < IGNORED).sum()
    found = tables(net, often)
    save_file(
        found, given.out / "visemes.safetensors", {"ahead": str(AHEAD), "dilations": " ".join(map(str, DILATIONS))}
    )
    facts = {
        "learnt_from_minutes": {name: round(len(y) / 3000, 1) for name, (_, y) in sets.items()},
        "parameters": int(sum(value.size for value in found.values())),
        "right_while_learning": round(right, 3),
        "processor_minutes": given.minutes,
    }
    print(json.dumps(facts))


if __name__ == "__main__":
    main()
