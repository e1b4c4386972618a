"""The words that the grammar knows: parts, measures, directions, colours, feelings, amounts. English only."""

from collections.abc import Mapping
from functools import cache

# Parts of the head by what they are called; longer phrases win.
PARTS: Mapping[str, str] = {
    **dict.fromkeys(("nose", "noses"), "nose"),
    **dict.fromkeys(("nose tip", "tip of the nose", "tip of her nose", "tip of his nose", "nasal tip"), "nose_tip"),
    **dict.fromkeys(("nose bridge", "bridge of the nose", "bridge of her nose", "nasal bridge"), "nose_bridge"),
    **dict.fromkeys(("nostril", "nostrils"), "nostrils"),
    **dict.fromkeys(("mouth", "mouths"), "mouth"),
    **dict.fromkeys(("lip", "lips"), "lips"),
    "upper lip": "lip_upper",
    "top lip": "lip_upper",
    "lower lip": "lip_lower",
    "bottom lip": "lip_lower",
    **dict.fromkeys(("cupid's bow", "cupids bow"), "cupids_bow"),
    **dict.fromkeys(("corners of the mouth", "mouth corners", "lip corners"), "mouth_corners"),
    **dict.fromkeys(("eye", "eyes"), "eyes"),
    **dict.fromkeys(("iris", "irises", "eye colour", "eye color", "eyecolour", "eye-colour"), "iris"),
    **dict.fromkeys(("outer corners of the eyes", "outer eye corners", "outer corners"), "eyes_outer_corner"),
    **dict.fromkeys(("inner corners of the eyes", "inner eye corners", "inner corners"), "eyes_inner_corner"),
    **dict.fromkeys(
        ("bags under the eyes", "bags under her eyes", "bags under his eyes", "eye bags", "bags", "eyebags"), "eye_bags"
    ),
    **dict.fromkeys(("eyelid", "eyelids", "lids", "upper lids"), "lids"),
    **dict.fromkeys(("whites of the eyes", "eye whites", "sclera"), "whites"),
    **dict.fromkeys(("brow", "brows", "eyebrow", "eyebrows"), "brows"),
    **dict.fromkeys(("brow ridge", "browridge"), "brow_ridge"),
    **dict.fromkeys(("forehead", "foreheads"), "forehead"),
    **dict.fromkeys(("temple", "temples"), "temples"),
    **dict.fromkeys(("cheek", "cheeks"), "cheeks"),
    **dict.fromkeys(("cheekbone", "cheekbones", "cheek bones"), "cheekbones"),
    **dict.fromkeys(("jaw", "jaws", "jawline", "jaw line"), "jaw"),
    "lower jaw": "lower_jaw",
    **dict.fromkeys(("chin", "chins"), "chin"),
    **dict.fromkeys(("double chin", "second chin"), "double_chin"),
    **dict.fromkeys(("ear", "ears"), "ears"),
    **dict.fromkeys(("earlobe", "earlobes", "ear lobes", "ear lobe", "lobes"), "lobes"),
    **dict.fromkeys(("dimple", "dimples"), "dimples"),
    "head": "head",
    **dict.fromkeys(("face", "visage"), "face"),
    **dict.fromkeys(("neck", "throat"), "neck"),
    **dict.fromkeys(("shoulder", "shoulders"), "shoulders"),
    **dict.fromkeys(("skin", "complexion", "skin tone", "skin colour", "skin color"), "skin"),
    **dict.fromkeys(("hair", "hairs", "hair colour", "hair color", "haircolour"), "hair"),
    **dict.fromkeys(("tooth", "teeth"), "teeth"),
    **dict.fromkeys(
        ("shirt", "t-shirt", "tshirt", "clothes", "sweater", "pullover", "top", "jacket", "dress"), "clothes"
    ),
    **dict.fromkeys(("smile", "smiles"), "smile"),
    **dict.fromkeys(("wrinkle", "wrinkles"), "wrinkles"),
    **dict.fromkeys(("freckle", "freckles"), "freckles"),
    **dict.fromkeys(("lipstick", "blush", "eyeliner", "eyeshadow"), ""),
    "eye shadow": "eyeshadow",
    **{name: name for name in ("lipstick", "blush", "eyeliner", "eyeshadow")},
    **dict.fromkeys(("rouge",), "blush"),
}

# Measures: what an adjective says of a part, and towards which end.
_ADJECTIVES: Mapping[str, tuple[str, int]] = {
    **dict.fromkeys(("wide", "broad"), ("width", 1)),
    **dict.fromkeys(("narrow",), ("width", -1)),
    **dict.fromkeys(("thin", "slim", "slender", "skinny", "lean", "fine"), ("thickness", -1)),
    **dict.fromkeys(("thick",), ("thickness", 1)),
    **dict.fromkeys(("long", "lengthy"), ("length", 1)),
    **dict.fromkeys(("short",), ("length", -1)),
    **dict.fromkeys(("big", "large", "huge", "great", "giant", "enormous"), ("size", 1)),
    **dict.fromkeys(("small", "tiny", "little", "petite", "delicate"), ("size", -1)),
    **dict.fromkeys(("high",), ("height", 1)),
    **dict.fromkeys(("low",), ("height", -1)),
    **dict.fromkeys(("tall",), ("height", 1)),
    **dict.fromkeys(
        ("full", "plump", "chubby", "round", "puffy", "pouty", "fleshy", "bulbous", "luscious"), ("fullness", 1)
    ),
    **dict.fromkeys(("hollow", "sunken", "gaunt", "flat"), ("fullness", -1)),
    **dict.fromkeys(("prominent", "protruding", "pronounced", "strong", "projecting", "heavy"), ("forward", 1)),
    **dict.fromkeys(("receding", "weak"), ("forward", -1)),
    **dict.fromkeys(("square", "angular", "boxy"), ("width", 1)),
    **dict.fromkeys(("pointed", "pointy"), ("width", -1)),
    **dict.fromkeys(("deep",), ("depth", 1)),
    **dict.fromkeys(("shallow",), ("depth", -1)),
    **dict.fromkeys(("flared", "flaring"), ("flare", 1)),
    **dict.fromkeys(("dark", "tanned", "bronzed", "brown-skinned", "swarthy"), ("tone", 1)),
    **dict.fromkeys(("pale", "fair", "light", "pallid", "bright"), ("tone", -1)),
    **dict.fromkeys(("white", "whitened"), ("white", 1)),
    **dict.fromkeys(("yellow",), ("white", -1)),
    **dict.fromkeys(("rosy", "ruddy", "flushed", "blushing"), ("red", 1)),
    **dict.fromkeys(("smooth", "flawless"), ("smooth", 1)),
    **dict.fromkeys(("wrinkled", "rough"), ("smooth", -1)),
    **dict.fromkeys(("upturned", "turned-up", "snub"), ("upturned", 1)),
    **dict.fromkeys(("hooked", "aquiline", "crooked", "humped"), ("hump", 1)),
    **dict.fromkeys(("straight",), ("hump", -1)),
    **dict.fromkeys(("slanted", "almond-shaped"), ("slant", 1)),
    **dict.fromkeys(("cleft", "dimpled"), ("cleft", 1)),
    **dict.fromkeys(("faint", "subtle", "slight"), ("size", 0)),
    **dict.fromkeys(("even", "symmetric", "symmetrical"), ("symmetric", 1)),
}
_VERBS: Mapping[str, tuple[str, int]] = {
    **dict.fromkeys(("widen", "broaden", "spread"), ("width", 1)),
    **dict.fromkeys(("tighten",), ("width", -1)),
    **dict.fromkeys(("lengthen", "elongate", "stretch"), ("length", 1)),
    **dict.fromkeys(("shorten",), ("length", -1)),
    **dict.fromkeys(("enlarge", "grow"), ("size", 1)),
    **dict.fromkeys(("shrink",), ("size", -1)),
    **dict.fromkeys(("raise", "lift", "lifted", "raised"), ("height", 1)),
    **dict.fromkeys(("lower", "drop", "lowered"), ("height", -1)),
    **dict.fromkeys(("thicken",), ("thickness", 1)),
    **dict.fromkeys(("slim", "thin"), ("thickness", -1)),
    **dict.fromkeys(("plump", "fatten", "fill"), ("fullness", 1)),
    **dict.fromkeys(("flatten",), ("fullness", -1)),
    **dict.fromkeys(("darken",), ("tone", 1)),
    **dict.fromkeys(("lighten", "brighten", "bleach"), ("tone", -1)),
    **dict.fromkeys(("whiten",), ("white", 1)),
    **dict.fromkeys(("protrude",), ("forward", 1)),
    **dict.fromkeys(("flare",), ("flare", 1)),
}
# What a measure of a part is called as an operation.
_T = "tone"
MEASURES: Mapping[str, Mapping[str, str]] = {
    "nose": {"width": "nose_width", "thickness": "nose_width", "length": "nose_length", "size": "nose_size", "height": "nose_height",
             "forward": "nose_depth", "fullness": "nose_tip_volume", "depth": "nose_depth", "upturned": "nose_tip_height", "hump": "nose_hump"},
    "nose_tip": {"width": "nose_tip_width", "thickness": "nose_tip_width", "size": "nose_tip_volume", "fullness": "nose_tip_volume",
                 "height": "nose_tip_height", "upturned": "nose_tip_height", "length": "nose_length"},
    "nose_bridge": {"width": "nose_bridge_width", "thickness": "nose_bridge_width", "height": "nose_bridge", "forward": "nose_bridge", "hump": "nose_hump"},
    "nostrils": {"width": "nostrils_width", "thickness": "nostrils_width", "size": "nostrils_flare", "flare": "nostrils_flare"},
    "mouth": {"width": "mouth_width", "size": "mouth_width", "height": "mouth_height", "forward": "mouth_forward", "fullness": "lips_fullness", "thickness": "lips_fullness"},
    "lips": {"width": "mouth_width", "thickness": "lips_fullness", "fullness": "lips_fullness", "size": "lips_fullness", "forward": "mouth_depth", _T: "lips_tone"},
    "lip_upper": {"thickness": "lip_upper_volume", "fullness": "lip_upper_volume", "size": "lip_upper_volume", "height": "lip_upper_height", "width": "lip_upper_width"},
    "lip_lower": {"thickness": "lip_lower_volume", "fullness": "lip_lower_volume", "size": "lip_lower_volume", "height": "lip_lower_height", "width": "lip_lower_width"},
    "cupids_bow": {"height": "cupids_bow", "forward": "cupids_bow", "depth": "cupids_bow", "width": "cupids_bow_width", "size": "cupids_bow"},
    "mouth_corners": {"height": "mouth_corners"},
    "eyes": {"size": "eyes_size", "height": "eyes_height", "apart": "eyes_distance", _T: "eyes_tone", "slant": "eyes_outer_corner",
             "fullness": "eyes_opening", "thickness": "eyes_opening", "width": "eyes_size"},
    "iris": {_T: "eyes_tone"},
    "eyes_outer_corner": {"height": "eyes_outer_corner"},
    "eyes_inner_corner": {"height": "eyes_inner_corner"},
    "eye_bags": {"size": "eye_bags", "fullness": "eye_bags", "exist": "eye_bags", "depth": "eye_bags", "forward": "eye_bags"},
    "whites": {"white": "eyes_white", _T: "eyes_white"},
    "brows": {"height": "brows_height", "forward": "brows_forward", _T: "brows_tone"},
    "brow_ridge": {"forward": "brows_forward", "size": "brows_forward", "thickness": "brows_forward"},
    "forehead": {"height": "forehead_height", "length": "forehead_height", "size": "forehead_height", "forward": "forehead_forward", "width": "forehead_temples"},
    "temples": {"width": "forehead_temples"},
    "cheeks": {"fullness": "cheeks_fullness", "size": "cheeks_fullness", "thickness": "cheeks_fullness", "height": "cheeks_height", "red": "cheeks_red",
               "width": "cheekbones_width"},
    "cheekbones": {"height": "cheeks_height", "width": "cheekbones_width", "size": "cheekbones_width", "forward": "cheekbones_width"},
    "jaw": {"width": "jaw_width", "thickness": "jaw_width", "size": "jaw_width", "forward": "jaw_width", "height": "jaw_angle", "symmetric": "symmetry"},
    "lower_jaw": {"forward": "jaw_forward", "width": "jaw_width"},
    "chin": {"length": "chin_length", "width": "chin_width", "forward": "chin_forward", "size": "chin_length", "cleft": "chin_cleft",
             "height": "chin_length", "thickness": "chin_width"},
    "double_chin": {"exist": "double_chin", "size": "double_chin", "forward": "double_chin", "fullness": "double_chin"},
    "ears": {"size": "ears_size", "length": "ears_length", "height": "ears_height", "forward": "ears_wing", "width": "ears_depth"},
    "lobes": {"length": "ears_lobe", "size": "ears_lobe"},
    "dimples": {"depth": "mouth_dimples", "exist": "mouth_dimples", "size": "mouth_dimples", "forward": "mouth_dimples"},
    "head": {"width": "head_width", "height": "head_height", "length": "head_depth", "thickness": "head_width"},
    "face": {"width": "face_width", "thickness": "weight", "length": "face_length", "fullness": "head_fat", "symmetric": "symmetry", _T: "skin_tone",
             "size": "face_width", "smooth": "skin_smooth", "red": "skin_red"},
    "neck": {"thickness": "neck_girth", "width": "neck_girth", "length": "neck_length", "size": "neck_girth"},
    "shoulders": {"width": "shoulders_width", "size": "shoulders_width"},
    "skin": {_T: "skin_tone", "red": "skin_red", "smooth": "skin_smooth", "white": "skin_tone"},
    "hair": {_T: "hair_tone"},
    "teeth": {"white": "teeth_white", _T: "teeth_white"},
    "clothes": {_T: "clothes_tone"},
    "smile": {"width": "smile", "size": "smile", "exist": "smile", "forward": "smile", "fullness": "smile", "tone": "smile"},
    "wrinkles": {"exist": "skin_smooth", "size": "skin_smooth", "depth": "skin_smooth"},
    "freckles": {"exist": "makeup:freckles"},
    **{name: {"exist": f"makeup:{name}", _T: f"makeup:{name}"} for name in ("lipstick", "blush", "eyeliner", "eyeshadow")},
}  # fmt: skip
INVERTED = frozenset(
    {
        ("skin", "white"),
        ("teeth", "tone"),
        ("whites", "tone"),
        ("wrinkles", "exist"),
        ("wrinkles", "size"),
        ("wrinkles", "depth"),
        ("smile", "tone"),
    }
)
"""Measures that go against their operation: bright teeth are whiter, fewer wrinkles are smoother skin."""

# Words that say all by themselves.
SOLE: Mapping[str, tuple[str, int]] = {
    **dict.fromkeys(
        ("old", "elderly", "aged", "senior", "grandfatherly", "grandmotherly", "ageing", "aging"), ("age", 1)
    ),
    **dict.fromkeys(
        ("young", "youthful", "girlish", "boyish", "childlike", "teenage", "juvenile", "rejuvenate"), ("age", -1)
    ),
    **dict.fromkeys(("fat", "heavy", "chubby", "obese", "overweight", "stout", "corpulent", "plump"), ("weight", 1)),
    **dict.fromkeys(("thin", "slim", "skinny", "lean", "slender", "gaunt", "bony", "emaciated"), ("weight", -1)),
    **dict.fromkeys(("muscular", "athletic", "buff", "brawny"), ("muscle", 1)),
    **dict.fromkeys(("masculine", "manly", "male", "virile", "mannish"), ("masculine", 1)),
    **dict.fromkeys(("feminine", "womanly", "female", "girly", "ladylike"), ("masculine", -1)),
    "african": ("african", 1),
    "asian": ("asian", 1),
    **dict.fromkeys(("caucasian", "european"), ("caucasian", 1)),
    **dict.fromkeys(("tan", "tanned", "suntan", "suntanned", "sunburnt", "bronzed", "dark-skinned"), ("skin_tone", 1)),
    **dict.fromkeys(("pale", "pallid", "fair-skinned", "pale-skinned"), ("skin_tone", -1)),
    **dict.fromkeys(("smile", "smiling", "smiles", "grin", "grinning", "grins", "beam", "beaming"), ("smile", 1)),
    **dict.fromkeys(("frown", "frowning", "scowl", "scowling"), ("brow_lower", 1)),
    **dict.fromkeys(("squint", "squinting"), ("squint", 1)),
    **dict.fromkeys(("symmetric", "symmetrical", "symmetry"), ("symmetry", 1)),
    **dict.fromkeys(("asymmetric", "asymmetrical", "lopsided"), ("symmetry", -1)),
    **dict.fromkeys(("caricature", "exaggerate", "exaggerated", "cartoonish"), ("caricature", 1)),
    **dict.fromkeys(("average",), ("caricature", -1)),
    **dict.fromkeys(("bald", "hairless"), ("bald", 1)),
    **dict.fromkeys(("freckled", "freckly"), ("makeup:freckles", 1)),
    **dict.fromkeys(("pucker", "pout", "pouting", "kiss"), ("pucker", 1)),
    **dict.fromkeys(("sneer", "sneering"), ("sneer", 1)),
    **dict.fromkeys(("wrinkly",), ("skin_smooth", -1)),
}
EMOTIONS: Mapping[str, str] = {
    **dict.fromkeys(["happy", "joyful", "joy", "delighted", "cheerful", "glad", "merry", "elated", "jolly", "blissful", "happiness", "overjoyed", "ecstatic"], "joy"),
    **dict.fromkeys(["sad", "sadness", "unhappy", "gloomy", "miserable", "tearful", "melancholic", "melancholy", "sorrowful", "depressed", "crying", "dejected"], "sadness"),
    **dict.fromkeys(["surprised", "surprise", "astonished", "amazed", "astonishment", "amazement", "startled", "stunned", "shocked"], "surprise"),
    **dict.fromkeys(["afraid", "scared", "fear", "fearful", "terrified", "frightened", "horrified", "anxious", "panicked"], "fear"),
    **dict.fromkeys(["angry", "anger", "furious", "mad", "annoyed", "irate", "enraged", "grumpy", "rage", "cross", "irritated", "outraged"], "anger"),
    **dict.fromkeys(["disgusted", "disgust", "revolted", "repelled", "nauseated"], "disgust"),
    **dict.fromkeys(["contempt", "contemptuous", "scornful", "disdainful", "scorn"], "contempt"),
    **dict.fromkeys(["tired", "sleepy", "drowsy", "weary", "exhausted"], "tired"),
    **dict.fromkeys(["calm", "relaxed", "content", "serene"], "calm"),
}  # fmt: skip
AMOUNTS: Mapping[str, float] = {
    **dict.fromkeys(("a bit", "a little", "a little bit", "slightly", "somewhat", "a touch", "subtly", "a tad"), 0.5),
    **dict.fromkeys(
        ("barely", "hardly", "minimally", "faint", "faintly", "a hint of", "subtle", "slight", "a trace of"), 0.4
    ),
    **dict.fromkeys(("quite", "rather", "fairly", "moderately"), 1.0),
    **dict.fromkeys(
        ("very", "much", "a lot", "really", "far", "considerably", "strongly", "significantly", "way"), 1.6
    ),
    **dict.fromkeys(
        ("extremely", "totally", "completely", "hugely", "enormously", "utterly", "massively", "fully"), 2.0
    ),
    **dict.fromkeys(("broad", "big", "wide", "huge"), 1.0),
}
_NUMBERS = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
]
NUMBERS: Mapping[str, float] = {
    **{word: float(i) for i, word in enumerate(_NUMBERS)},
    **{
        w: 20.0 + 10 * i
        for i, w in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"])
    },
    **dict.fromkeys(("half",), 0.5),
}
LESS = frozenset(
    ("less", "fewer", "not", "no", "without", "don't", "dont", "stop", "remove", "lose", "reduce", "decrease", "get rid of",
     "too", "minus", "never", "take away", "isn't", "tone down", "delete", "eliminate", "pin", "pin back", "shouldn't", "take off", "diminish")
)  # fmt: skip
MORE = frozenset(
    (
        "more",
        "increase",
        "add",
        "gain",
        "put on",
        "give",
        "greater",
        "stronger",
        "plus",
        "extra",
        "with",
        "get",
        "apply",
        "wear",
        "has",
    )
)
KEEP = frozenset(
    ("keep", "leave", "preserve", "don't change", "do not change", "don't touch", "do not touch", "retain")
)
SIDES = {
    "left": "left",
    "leftwards": "left",
    "right": "right",
    "rightwards": "right",
    "left-hand": "left",
    "right-hand": "right",
}
STOP = frozenset(
    ("make", "makes", "made", "the", "a", "an", "him", "her", "his", "she", "he", "it", "its", "they", "them", "their", "i", "want",
     "please", "should", "would", "look", "looks", "looking", "like", "appear", "appearance", "seem", "seems", "be", "is", "are", "of",
     "to", "and", "bit", "so", "that", "this", "these", "as", "by", "some", "into", "person", "man", "woman", "change", "turn",
     "have", "having", "been", "more", "up", "down", "on", "in", "at", "for", "your", "you", "my", "features", "expression",
     "set", "let", "do", "does", "just", "but", "than", "from", "now", "colour", "color", "coloured", "colored", "dye", "dyed", "paint",
     "shape", "kind", "can", "could", "me", "show", "bring", "little", "very", "tone", "our", "out", "avatar", "model", "shade", "well")
)  # fmt: skip


def _forms(word: str, comparative: bool) -> list[str]:
    """Returns an adjective with its comparative and superlative, or a verb with its other forms."""
    if "-" in word or " " in word:
        return [word]
    stem = word[:-1] if word.endswith("e") else word
    doubled = (
        word + word[-1]
        if len(word) > 2 and word[-1] in "bdgmnt" and word[-2] in "aiou" and word[-3] not in "aeiou"
        else ""
    )
    out = [word]
    if comparative:
        base = word[:-1] + "i" if word.endswith("y") else stem
        out += [base + "er", base + "est"]
        out += [doubled + "er", doubled + "est"] if doubled else []
    else:
        out += [stem + "ing", stem + "ed", word + "s"] + ([doubled + "ing", doubled + "ed"] if doubled else [])
    return out


@cache
def measures() -> Mapping[str, tuple[str, int]]:
    """Returns measure and direction by word, all forms."""
    out: dict[str, tuple[str, int]] = {}
    for table, comparative in ((_VERBS, False), (_ADJECTIVES, True)):
        for word, meaning in table.items():
            out.update(dict.fromkeys(_forms(word, comparative), meaning))
    return out


@cache
def sole() -> Mapping[str, tuple[str, int]]:
    """Returns operation and direction of words that say all, all forms."""
    return {form: meaning for word, meaning in SOLE.items() for form in _forms(word, True)}


@cache
def emotions() -> Mapping[str, str]:
    """Returns emotions by word, comparatives too."""
    return {form: label for word, label in EMOTIONS.items() for form in _forms(word, True)}
