"""Labels real speech for `train_phones.py`: by transcripts where there are any, else by what the phone loop is sure of.

    python -m tools.real_corpus ../shared/data pocketsphinx-5.1.1-*.whl out/corpus

Transcripts (LJSpeech excerpts and a speech by J. F. Kennedy, public domain) are aligned with the acoustic model by the
wheel's dictionary. The other recordings (Audio2Face-3D samples, Apache-2.0; speech_recognition examples, BSD; the
training takes of FACEGOOD's Mandarin, MIT) are labelled by the loop over the whole sound; frames below .5 are left out.
Nothing of the halves that `bench_phones.py` scores on is among them, nor the takes that the paired data holds out.
"""

import re
import sys
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from avatar3d.speech import hmm
from avatar3d.speech.acoustic import model, state_scores
from avatar3d.speech.sound import RATE, Sound, read_sound
from tools.speech_frames import IGNORED

_JFK = "and so my fellow americans ask not what your country can do for you ask what you can do for your country"
_MORE = {"woodcutters": "W UH D K AH T ER Z"}
_SURE = 0.5
_LONG_LAG = 30
_ALIGN_SCALE = 0.5
# Without a transcript: file, and how English the loop expects it to be.
_HEARD = {f"audio/nvidia_a2f_{n}.wav": 0.8 for n in ("Claire_anger", "Claire_neutral", "Claire_sadness")}
_HEARD |= {f"audio/nvidia_a2f_{n}.wav": 0.8 for n in ("Mark_anger", "Mark_joy", "Mark_neutral")}
_HEARD |= {"audio/nvidia_a2f_Claire_joy_mandarin.wav": 0.0, "audio/sr_english.wav": 0.8, "audio/sr_french.aiff": 0.0}
_HEARD |= {f"audio_blendshape/facegood_1114_2_0{k}.flac": 0.3 for k in range(1, 5)}
_PIECE = 12 * RATE


def dictionary(wheel: str) -> dict[str, list[str]]:
    """Returns the pronunciations in the wheel, the first of each word."""
    with zipfile.ZipFile(wheel) as pack:
        lines = pack.read("pocketsphinx/model/en-us/cmudict-en-us.dict").decode().splitlines()
    rows = (line.split() for line in lines)
    return {row[0]: row[1:] for row in rows if "(" not in row[0]} | {k: v.split() for k, v in _MORE.items()}


def transcripts(folder: Path) -> dict[Path, str]:
    """Returns what is said in which file."""
    found = {folder / "audio" / "jfk.flac": _JFK}
    for line in (folder / "audio" / "ljspeech_metadata.csv").read_text().splitlines():
        name, *texts = line.split("|")
        found[folder / "audio" / f"{name}.flac"] = texts[-1]
    return found


def aligned(scores: np.ndarray, text: str, said: dict[str, list[str]]) -> np.ndarray:
    """Returns the state of each frame on the best path through the words, with pauses between them if they help."""
    units, pause = model().units, model().units.index("SIL")
    path, optional = [pause], [True]
    for word in re.sub(r"[^a-z' ]+", " ", text.lower().replace("-", " ").replace(".", "")).split():
        path += [*(units.index(phone) for phone in said[word]), pause]
        optional += [*(False for _ in said[word]), True]
    states = (3 * np.array(path)[:, None] + np.arange(3)).ravel()
    skips = np.zeros(len(states), bool)
    skips[[3 * i for i in range(2, len(path)) if optional[i - 1]]] = True
    local = _ALIGN_SCALE * scores[:, states]
    best = np.full(len(states), -np.inf)
    best[[0, 3]] = local[0, [0, 3]]
    back = np.zeros(local.shape, np.int8)
    for t in range(1, len(local)):
        moved = [np.concatenate([np.full(n, -np.inf), best[: len(best) - n]]) for n in (0, 1, 4)]
        moved[2] = np.where(skips, moved[2], -np.inf)
        back[t] = np.argmax(moved, 0)
        best = np.max(moved, 0) + local[t]
    at = len(states) - 1 if best[-1] > best[-4] else len(states) - 4
    found = np.empty(len(local), int)
    for t in range(len(local) - 1, -1, -1):
        found[t] = states[at]
        at -= (0, 1, 4)[back[t, at]]
    return found


def heard(scores: np.ndarray, english: float) -> np.ndarray:
    """Returns the viseme of each frame that the loop finds over the whole sound, `IGNORED` where it is not sure."""
    loop = hmm.Loop(english)
    posteriors = np.concatenate([loop.push(scores), loop.flush()]) @ hmm.state_visemes()
    return np.where(posteriors.max(1) < _SURE, IGNORED, posteriors.argmax(1))


def main(folder: Path, wheel: str, out: Path) -> None:
    """Writes real.safetensors as `speech_corpus.py` writes the others."""
    said, shown = dictionary(wheel), hmm.state_visemes().copy()
    shown[(shown.max(1) == 0.5), :] *= 1.0 + 1e-6 * np.arange(15)[::-1]  # the middle of a diphthong: its first half
    hmm.LAG = _LONG_LAG
    pieces: list[tuple[np.ndarray, np.ndarray]] = []
    for file, text in transcripts(folder).items():
        sound = read_sound(file).at(RATE).mono
        pieces.append((sound, shown.argmax(1)[aligned(state_scores(Sound(sound[None], RATE)), text, said)]))
    for name, english in _HEARD.items():
        sound = read_sound(folder / name).at(RATE).mono
        for begin in range(0, len(sound) - RATE, _PIECE):
            part = sound[begin : begin + _PIECE]
            pieces.append((part, heard(state_scores(Sound(part[None], RATE)), english)))
    counts = [min(len(sound) // 160, len(labels)) for sound, labels in pieces]
    sounds = [np.clip(sound[: 160 * n], -1, 1) * 32767 for (sound, _), n in zip(pieces, counts, strict=True)]
    labels = [labels[:n].astype(np.uint8) for (_, labels), n in zip(pieces, counts, strict=True)]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    out.mkdir(parents=True, exist_ok=True)
    tensors = {"sound": np.concatenate(sounds).astype(np.int16), "viseme": np.concatenate(labels), "first": first}
    save_file(tensors, out / "real.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
