"""The work of `avatar3d sample`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from avatar3d import files, store
from avatar3d.cli.console import Console
from avatar3d.core import Avatar, AvatarError

if TYPE_CHECKING:
    from avatar3d.cli.sample_verbs import Sample

_MOST = 400  # heads on a sheet


def run_sample(given: "Sample", console: Console) -> Mapping[str, Any]:
    """Makes a head, the one between two, or a sheet of many."""
    from avatar3d import sample
    from avatar3d.render.video import write_png

    wanted = ".png" if given.sheet is not None else ".a3d"
    if given.output.suffix.lower() != wanted:
        raise AvatarError(f"{given.output}: a {'sheet' if given.sheet is not None else 'head'} is written to {wanted}")
    files.check_writable(given.output)
    if given.between is not None:
        if given.sheet is not None or given.label is not None or given.set or given.age is not None:
            raise AvatarError(
                "--between takes two heads and --amount only; leave out --sheet, --label, --set and --age"
            )
        avatar = sample.between(*(store.load(path) for path in given.between), given.amount)
        return _written(given, avatar)
    traits = _traits(given, console)
    if given.sheet is None:
        return _written(given, sample.sample(given.seed, **traits))
    if not 1 <= given.sheet <= _MOST:
        raise AvatarError(f"--sheet {given.sheet}: give a number from 1 to {_MOST}")
    pictures = []
    for i in range(given.sheet):
        pictures.append(sample.portrait(sample.sample(given.seed + i, **traits), yaw=given.yaw))
        console.progress("sample", i + 1, given.sheet)
    write_png(given.output, sample.sheet(pictures))
    return {"sheet": str(given.output), "heads": given.sheet, "seeds": [given.seed, given.seed + given.sheet - 1]}


def _traits(given: "Sample", console: Console) -> dict[str, Any]:
    """Returns what the command line fixes: words first, then the age, then traits by name."""
    traits: dict[str, Any] = {}
    if given.label is not None:
        from avatar3d.sample.label import traits_of

        label = traits_of(given.label)
        traits |= label.traits
        console.note(f"understood: {', '.join(f'{n} {_shown(v)}' for n, v in label.traits.items())}")
        for words in label.missed:
            console.note(f"not understood: '{words}'")
    if given.age is not None:
        traits["age"] = given.age
    for text in (part for one in given.set for part in one.split(",")):
        name, equals, value = (x.strip() for x in text.partition("="))
        if not equals or not value:
            raise AvatarError(f"'{text}': write name=value, as in hair=bob or freckles=.8")
        traits[name] = _value(name, value)
    return traits


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return "#" + "".join(f"{round(255 * x):02x}" for x in value)
    return value if isinstance(value, str) else f"{value:g}"


def _value(name: str, text: str) -> Any:
    from avatar3d.sample import BEARDS, CLOTHES, HAIR_STYLES

    if text in (*HAIR_STYLES, *BEARDS, *CLOTHES):
        return text
    if text.startswith("#") and len(text) == 7:
        try:
            return tuple(int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
        except ValueError as error:
            raise AvatarError(f"{name}: '{text}' is not a colour; write #rrggbb") from error
    try:
        return float(text)
    except ValueError:
        return text  # a word that `draw` answers with the nearest ones, or that no field takes


def _written(given: "Sample", avatar: Avatar) -> Mapping[str, Any]:
    from avatar3d import sample
    from avatar3d.render.video import write_png

    store.save(avatar, given.output)
    out: dict[str, Any] = {"avatar": str(given.output), "splats": len(avatar.gaussians)}
    if given.picture is not None:
        write_png(given.picture, sample.portrait(avatar, 768, given.yaw))
        out["picture"] = str(given.picture)
    return {**out, "person": avatar.about["sample"]}
