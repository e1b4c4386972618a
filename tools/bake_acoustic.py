"""Writes avatar3d/speech/data/acoustic.safetensors: the acoustic model that CMU PocketSphinx ships, made small.

    pip download --no-deps pocketsphinx==5.1.1 && python tools/bake_acoustic.py pocketsphinx-5.1.1-*.whl

Nothing of the wheel is executed. Kept are the Gaussians (42 codebooks of 3 x 128 in half precision) and the mixture
weights of the 126 states without context; the 5000 states in context, the dictionary and the word model are left out.
The pairs of phones are counted in the wheel's dictionary, words weighted as often as they are used (`wordfreq`).
"""

import itertools
import struct
import sys
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

_FOLDER = "pocketsphinx/model/en-us/"
_OUT = Path(__file__).resolve().parents[1] / "avatar3d" / "speech" / "data"
_LOG_BASE = 1.0001  # of the mixture weights, which are shifted right by 10 bits
_PAUSE = 0.12  # odds of a pause between two words


def gaussians(data: bytes) -> np.ndarray:
    """Returns a parameter file of sphinxtrain as (codebooks, streams, densities, dimensions)."""
    at = data.index(b"endhdr\n") + 7
    books, streams, densities = struct.unpack("<3i", data[at + 4 : at + 16])
    lengths = struct.unpack(f"<{streams}i", data[at + 16 : at + 16 + 4 * streams])
    values = np.frombuffer(data, "<f4", books * streams * densities * lengths[0], at + 20 + 4 * streams)
    return values.reshape(books, streams, densities, lengths[0]).astype(np.float64)


def pairs(dictionary: str, units: list[str]) -> np.ndarray:
    """Returns how often one unit follows another in running English, within and across words, summing to one."""
    from wordfreq import top_n_list, word_frequency  # type: ignore[import-not-found]

    said = {}
    for line in dictionary.splitlines():
        word, *phones = line.split()
        if "(" not in word:
            said[word] = [units.index(phone) for phone in phones]
    silence = units.index("SIL")
    counts = np.zeros((len(units), len(units)))
    first, last = np.zeros(len(units)), np.zeros(len(units))
    for word in top_n_list("en", 20000):
        if word in said:
            often, phones = word_frequency(word, "en"), said[word]
            first[phones[0]] += often
            last[phones[-1]] += often
            for one, next_one in itertools.pairwise(phones):
                counts[one, next_one] += often
    counts += (1 - _PAUSE) * np.outer(last, first) / first.sum()
    counts[:, silence] += _PAUSE * last
    counts[silence] += _PAUSE * first
    return counts / counts.sum()


def main(wheel: str) -> None:
    """Writes the file."""
    with zipfile.ZipFile(wheel) as pack:
        read = {name: pack.read(f"{_FOLDER}en-us/{name}") for name in ("means", "variances", "mdef", "sendump")}
        moves = pack.read(f"{_FOLDER}en-us/transition_matrices")
        licence = pack.read(f"{_FOLDER}en-us/README").decode()
        dictionary = pack.read(f"{_FOLDER}cmudict-en-us.dict").decode()
    skip = 12 + struct.unpack("<i", read["mdef"][8:12])[0]
    count, _, _, states, senones = struct.unpack("<5i", read["mdef"][skip : skip + 20])
    units = [name.decode() for name in read["mdef"][skip + 40 :].split(b"\0", count)[:count]]
    mean, variance = gaussians(read["means"]), np.maximum(gaussians(read["variances"]), 1e-4)
    mixture = np.frombuffer(read["sendump"][-3 * 128 * senones :], np.uint8).reshape(3, 128, senones)[:, :, :states]
    weight = -mixture.astype(np.float64) * 1024 * np.log(_LOG_BASE)
    weight -= np.log(np.exp(weight).sum(1, keepdims=True))
    start = moves.index(b"endhdr\n") + 7 + 20
    stay = np.frombuffer(moves, "<f4", count * 12, start).reshape(count, 3, 4)
    tensors = {
        "mean": mean.astype(np.float16),
        "log_variance": np.log(variance).astype(np.float16),
        "log_weight": np.ascontiguousarray(weight.reshape(3, 128, count, 3).transpose(2, 0, 1, 3)).astype(np.float16),
        "moves": (stay / np.maximum(stay.sum(2, keepdims=True), 1e-9)).astype(np.float32),
        "pairs": pairs(dictionary, units).astype(np.float32),
    }
    _OUT.mkdir(exist_ok=True)
    save_file(tensors, _OUT / "acoustic.safetensors", {"units": " ".join(units), "source": "pocketsphinx==5.1.1 en-us"})
    (_OUT / "acoustic.LICENSE").write_text(licence)


if __name__ == "__main__":
    main(sys.argv[1])
