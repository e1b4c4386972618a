"""Scores the general mouth beside three baselines on real speech, and in several languages.

    python -m tools.bench_speech ../shared/data                # validation takes and the development half
    python -m tools.bench_speech ../shared/data --half test    # the test take and the test half: only for final figures
    python -m tools.bench_speech ../shared/data --languages    # closures and visemes in ten languages

Jaw: correlation of jawOpen with the captured curve of the paired takes, on which nobody knows the words; systems that
need phones get those that we hear there. Closures: on speech with phone times, as `avatar3d score lips` counts them on
the head's mesh; the same phones go into all systems, by ear ("sound alone") or aligned with the transcript.

Baselines: `energy` opens the jaw by loudness; `table` shows a viseme table (openfacefx's preset for ARKit) at the
aligned phones, cross-faded over 60 ms; `openfacefx` is that package's own coarticulation of the same phones.
"""

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from avatar3d.core import AvatarError, Motion
from avatar3d.drive.mouth import RATE, MouthOptions, as_motion, mouth
from avatar3d.heads.arkit import ARKIT
from avatar3d.score.lips import mouth_of, score_mouth
from avatar3d.speech.align import align
from avatar3d.speech.annotations import read_phones
from avatar3d.speech.espeak import say
from avatar3d.speech.features import AudioFeatures, features
from avatar3d.speech.likeness import units_like
from avatar3d.speech.listen import listen
from avatar3d.speech.phones import Phone, PhoneTrack
from avatar3d.speech.sound import Sound, read_sound
from avatar3d.speech.visemes import VISEMES
from tools.bench_phones import HALVES

FPS = 30.0
TAKES = {"dev": ("2_05", "3_15"), "test": ("3_16",)}
JAW = ARKIT.index("jawOpen")


@dataclass(frozen=True)
class Case:
    """Speech, what is heard in it, and what is known of it."""

    name: str
    sound: Sound
    heard: AudioFeatures
    audio: PhoneTrack
    """Phones by ear alone."""
    aligned: PhoneTrack
    """Phones by ear and transcript; the former where there is none."""
    truth: PhoneTrack | None = None
    jaw: np.ndarray | None = None


def energy(case: Case, phones: PhoneTrack) -> Motion:
    """The jaw by loudness: 30 dB below the loudest it is closed. `phones` are not used."""
    level = np.convolve(case.heard.intensity, np.ones(5) / 5, "same")
    curve = np.clip(1 + (level - np.percentile(level, 98)) / 30, 0, 1) * 0.4
    weights = np.zeros((int(np.ceil(case.sound.seconds * FPS)), len(ARKIT)))
    weights[:, JAW] = np.interp(np.arange(len(weights)) / FPS, case.heard.times, curve)
    return as_motion(weights, FPS)


def table(case: Case, phones: PhoneTrack) -> Motion:
    """A viseme table at the phones, cross-faded."""
    from openfacefx import PRESETS  # pyright: ignore[reportMissingImports]

    shapes = np.zeros((len(VISEMES), len(ARKIT)))
    for viseme, parts in PRESETS["arkit"].items():
        for name, value in parts:
            shapes[VISEMES.index(viseme), ARKIT.index(name)] = value
    shown = replace(phones.segmented(), posteriors=None, rate=0.0).visemes(RATE)
    faded = np.stack([np.convolve(column, np.ones(6) / 6, "same") for column in shown.T], 1) @ shapes
    at = np.minimum((np.arange(int(np.ceil(case.sound.seconds * FPS))) * RATE / FPS).astype(int), len(faded) - 1)
    return as_motion(faded[at], FPS)


def openfacefx(case: Case, phones: PhoneTrack) -> Motion:
    """The package's coarticulation and its preset."""
    from openfacefx import (  # pyright: ignore[reportMissingImports]
        PRESETS,
        PhonemeSegment,
        generate_from_alignment,
        retarget,
    )

    said = [PhonemeSegment(units_like(p.phone)[0], p.start, p.end) for p in _tiled(phones.segmented())]
    curves = retarget(generate_from_alignment(said, fps=FPS), PRESETS["arkit"])
    weights = np.zeros((int(np.ceil(case.sound.seconds * FPS)), len(ARKIT)))
    times = np.arange(len(weights)) / FPS
    for channel in curves.channels:
        keys = [(key.time, key.value) for key in channel.keys]
        weights[:, ARKIT.index(channel.name)] = np.interp(times, *np.array(keys).T, left=0, right=0)
    return as_motion(weights, FPS)


def ours(case: Case, phones: PhoneTrack) -> Motion:
    """The mouth of this package."""
    return mouth(phones, case.heard, MouthOptions(fps=FPS))


SYSTEMS: dict[str, tuple[Callable[[Case, PhoneTrack], Motion], bool]] = {
    "ours, sound alone": (ours, False),
    "ours, with transcript": (ours, True),
    "energy": (energy, False),
    "table, sound alone": (table, False),
    "table, with transcript": (table, True),
    "openfacefx, sound alone": (openfacefx, False),
    "openfacefx, with transcript": (openfacefx, True),
}
"""What makes a motion, and whether from aligned phones."""


def paired(folder: Path, half: str) -> list[Case]:
    """Returns the takes with captured jaws."""
    curves = np.load(folder / "facegood_1114_weights.npz")
    column = list(curves["names"]).index("mouth_stretch_c")
    made = []
    for take in TAKES[half]:
        sound = read_sound(folder / f"facegood_1114_{take}.flac")
        by_ear = listen(sound)
        made.append(Case(take, sound, features(sound), by_ear, by_ear, jaw=curves[f"w_{take}"][:, column]))
    return made


def annotated(folder: Path, half: str) -> list[Case]:
    """Returns the speech with phone times, cut where the half begins and ends."""
    made = []
    for sound_file, phone_file, begin, end in HALVES[half]:
        sound, truth = read_sound(folder / sound_file), read_phones(folder / phone_file)
        end = min(end, sound.seconds)
        first = next(i for i, p in enumerate(truth.phones) if p.start >= begin)
        inside = [p for p in truth.phones[first:] if p.end <= end]
        words = truth.words[inside[0].word : inside[-1].word + 1]
        cut = Sound(sound.samples[:, round(begin * sound.rate) : round(end * sound.rate)], sound.rate)
        moved = tuple(Phone(p.phone, p.start - begin, p.end - begin) for p in inside)
        name = f"{Path(sound_file).stem} {begin:.0f}"
        aligned = align(cut, " ".join(words), "en")
        made.append(Case(name, cut, features(cut), listen(cut), aligned, PhoneTrack(cut.seconds, moved)))
    return made


def correlation(motion: Motion, jaw: np.ndarray) -> float:
    """Returns Pearson's r of jawOpen and the captured curve, both at 30 frames a second."""
    found = motion.pose.expression[:, JAW].double().numpy()
    count = min(len(found), len(jaw))
    return float(np.corrcoef(found[:count], jaw[:count])[0, 1])


def closures(cases: list[Case], make: Callable[[Case, PhoneTrack], Motion], from_aligned: bool) -> dict[str, float]:
    """Returns recall, precision and contact over all cases together."""
    due = hit = made = right = teeth = touched = 0.0
    for case in cases:
        motion = make(case, case.aligned if from_aligned else case.audio)
        values = score_mouth(mouth_of(motion), case.truth).values
        due, hit = due + values["closures_due"], hit + (values["closure_recall"] or 0) * values["closures_due"]
        made = made + values["closures_made"]
        right += (values["closure_precision"] or 0) * values["closures_made"]
        teeth += values["labiodentals"]
        touched += (values["labiodental_contact"] or 0) * values["labiodentals"]
    recall, precision = hit / max(due, 1), right / max(made, 1)
    both = 2 * recall * precision / max(recall + precision, 1e-9)
    return {"recall": recall, "precision": precision, "f1": both, "teeth": touched / max(teeth, 1), "due": due}


def compare(folder: Path, half: str) -> dict[str, dict[str, float]]:
    """Returns the table of systems; its mean is that of jaw correlations and the closures' F1."""
    takes, speech = paired(folder / "audio_blendshape", half), annotated(folder / "audio", half)
    rows: dict[str, dict[str, float]] = {}
    for name, (make, from_aligned) in SYSTEMS.items():
        row: dict[str, float] = {}
        for case in takes:
            row[f"jaw r {case.name}"] = correlation(make(case, case.audio), case.jaw)  # type: ignore[arg-type]
        row |= closures(speech, make, from_aligned)
        row["mean"] = float(np.mean([*(v for k, v in row.items() if k.startswith("jaw")), row["f1"]]))
        rows[name] = row
    return rows


SENTENCES = {
    "en-us": "Maybe my brother bought five blue maps, before we moved to the big farm.",
    "de": "Meine Mutter backt am Abend Brot, aber Papa mag lieber Pfannkuchen mit viel Butter.",
    "fr-fr": "Ma mère prépare un bon repas pour papa, mais Paul veut boire un bol de lait.",
    "es": "Mi mamá compra pan blanco y fruta buena, pero papá prefiere un vaso de vino.",
    "it": "La mamma prepara il pane bianco, ma il bambino vuole bere una bibita buona.",
    "cmn": "我妈妈买了面包和苹果，爸爸把朋友送到门口。",
    "ru": "Мама купила белый хлеб и яблоки, а папа пошёл домой по большому мосту.",
    "ja": "ままはぱんをかいました、ぱぱはともだちとびーるをのみます。",
    "pt-br": "Minha mãe comprou pão branco e uva, mas papai prefere um bom vinho.",
    "hi": "मेरी माँ बाज़ार से फल और पपीता लाती है, पापा अब पानी पीते हैं।",
}
"""Sentences with many p, b, m, f and v, spoken by espeak-ng."""

CLIPS = (
    ("sr_english.wav", "en", "one two three"),
    ("sr_french.aiff", "fr", "et c'est la dictée numéro un"),
    ("sr_chinese.flac", "zh", "砸自己的脚"),
    ("common_voice_ja_24511055.mp3", "ja", "まひるまなのに きゃんぷの はずれの でんちゅうに でんきゅうが ともっていた"),
)
"""Real clips in other languages; the reference is our aligner."""


def languages(folder: Path) -> dict[str, dict[str, float]]:
    """Returns, for each language, how well phones are heard and closures made from sound alone and from phones."""
    rows = {}
    for language, text in SENTENCES.items():
        sound, truth = say(text, language)
        rows[f"{language} (spoken by espeak-ng)"] = _language(sound, truth)
    for file, language, text in CLIPS:
        try:
            sound = read_sound(folder / "audio" / file)
            rows[f"{language} ({file}, aligned)"] = _language(sound, align(sound, text, language))
        except AvatarError as error:
            print(f"{file}: {error}")
    return rows


def _language(sound: Sound, truth: PhoneTrack) -> dict[str, float]:
    by_ear = listen(sound)
    case = Case("", sound, features(sound), by_ear, truth, truth)
    shown, known = by_ear.visemes(RATE).argmax(1), truth.visemes(RATE).argmax(1)
    count = min(len(shown), len(known))
    alone, given = closures([case], ours, False), closures([case], ours, True)
    return {
        "visemes": float((shown[:count] == known[:count]).mean()),
        "recall": alone["recall"],
        "precision": alone["precision"],
        "recall from phones": given["recall"],
        "precision from phones": given["precision"],
        "teeth from phones": given["teeth"],
        "due": alone["due"],
    }


def _tiled(phones: PhoneTrack) -> list[Phone]:
    """Returns the phones with silences between them."""
    tiled, at = [], 0.0
    for p in phones.phones:
        if p.start > at + 1e-6:
            tiled.append(Phone("sil", at, p.start))
        tiled.append(p)
        at = float(p.end)
    return [*tiled, Phone("sil", at, phones.duration)] if phones.duration > at + 1e-6 else tiled


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="with audio/ and audio_blendshape/")
    parser.add_argument("--half", choices=tuple(HALVES), default="dev")
    parser.add_argument("--languages", action="store_true", help="score languages instead")
    parser.add_argument("--json", action="store_true", help="print one object")
    arguments = parser.parse_args()
    rows = languages(arguments.folder) if arguments.languages else compare(arguments.folder, arguments.half)
    if arguments.json:
        print(json.dumps(rows, ensure_ascii=False))
        return
    names = list(next(iter(rows.values())))
    print("".ljust(40) + " ".join(name.rjust(max(9, len(name))) for name in names))
    for system, row in rows.items():
        print(system.ljust(40) + " ".join(f"{row[name]:.3f}".rjust(max(9, len(name))) for name in names))


if __name__ == "__main__":
    main()
