"""Reads machine code of NVIDIA GPUs as nvdisasm prints it: instructions of each kernel, and of its hottest loop."""

import re
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_CLASSES = {
    "MUFU": ("MUFU",),
    "FP32": ("FFMA", "FMUL", "FADD", "FFMA2", "FMUL2", "FADD2", "FFMA32I", "FMUL32I", "FADD32I"),
    "FP64": ("DFMA", "DMUL", "DADD", "DSETP", "DMNMX"),
    "compare": ("FSETP", "FSEL", "FMNMX", "FSET", "FMNMX3", "FCHK"),
    "shared": ("LDS", "STS", "ATOMS", "LDSM"),
    "global": ("LDG", "STG", "LD", "ST"),
    "local": ("LDL", "STL"),
    "atomic": ("RED", "ATOM", "ATOMG", "REDG"),
    "warp": ("SHFL", "VOTE", "VOTEU", "MATCH", "REDUX", "CREDUX"),
    "control": ("BRA", "BSSY", "BSYNC", "BREAK", "EXIT", "WARPSYNC", "CALL", "RET", "BMOV", "YIELD", "NOP"),
    "barrier": ("BAR",),
}
_CLASS = {name: kind for kind, names in _CLASSES.items() for name in names}


@dataclass
class Kernel:
    """One kernel's code."""

    name: str
    """Mangled."""
    block: int = 0
    """Most threads of a block, from `__launch_bounds__`; 0 without."""
    instructions: list[str] = field(default_factory=list)
    """Mnemonics in order, without predicates and operands."""
    targets: list[str | None] = field(default_factory=list)
    """Label that each instruction branches to."""
    labels: dict[str, int] = field(default_factory=dict)

    def mix(self, start: int = 0, end: int | None = None) -> dict[str, int]:
        """Returns how many instructions there are of each kind, `integer` being the rest."""
        names = (name.split(".")[0] for name in self.instructions[start:end])
        return dict(sorted(Counter(_CLASS.get(name, "integer") for name in names).items()))

    def loops(self) -> list[tuple[int, int]]:
        """Returns (first, behind the last) of the innermost loops: backward branches around no other one."""
        spans = []
        for at, target in enumerate(self.targets):
            # A branch to itself is what stands behind every kernel's end.
            if target is not None and self.labels.get(target, at) < at:
                spans.append((self.labels[target], at + 1))
        return [a for a in spans if not any(b != a and a[0] <= b[0] and b[1] <= a[1] for b in spans)]

    def nest(self, loop: tuple[int, int]) -> list[int]:
        """Returns the instructions of a loop, then of each loop around it without those of the loops inside."""
        spans = {(self.labels[t], at + 1) for at, t in enumerate(self.targets) if t and self.labels.get(t, at) < at}
        around = sorted((s for s in spans if s[0] <= loop[0] and loop[1] <= s[1]), key=lambda s: s[1] - s[0])
        sizes = []
        for outer in around:
            inside = {at for s in spans if s != outer and outer[0] <= s[0] and s[1] <= outer[1] for at in range(*s)}
            sizes.append(outer[1] - outer[0] - len(inside))
        return sizes

    def way_out(self, loop: tuple[int, int]) -> int:
        """Returns how many instructions of a loop run before its first branch: the least that a turn costs."""
        for at in range(*loop):
            if self.instructions[at].startswith("BRA"):
                return at - loop[0] + 1
        return loop[1] - loop[0]

    def hottest(self) -> tuple[int, int] | None:
        """Returns the innermost loop that does most arithmetic: exponentials first, then FP32 instructions."""

        def weight(loop: tuple[int, int]) -> tuple[int, int, int]:
            names = self.instructions[loop[0] : loop[1]]
            return sum("MUFU.EX2" in x for x in names), self.mix(*loop).get("FP32", 0), loop[1] - loop[0]

        return max(self.loops(), key=weight, default=None)


def read(cubin: Path, nvdisasm: Path) -> list[Kernel]:
    """Returns the kernels of a cubin file."""
    text = subprocess.run([str(nvdisasm), str(cubin)], capture_output=True, text=True, check=True).stdout
    return parse(text)


def parse(text: str) -> list[Kernel]:
    """Returns the kernels in the text that `nvdisasm` prints."""
    found: dict[str, Kernel] = {}
    code: Kernel | None = None
    described: Kernel | None = None
    lines = iter(text.splitlines())
    for line in lines:
        stripped = line.strip()
        if match := re.match(r"\.section\s+\.(text|nv\.info)\.([^,\s]+)", stripped):
            kernel = found.setdefault(match[2], Kernel(match[2]))
            code, described = (kernel, None) if match[1] == "text" else (None, kernel)
        elif re.match(r"\.section\s", stripped):
            code = described = None
        elif described is not None and stripped.endswith("EIATTR_MAX_THREADS"):
            words = []
            for following in lines:
                words += re.findall(r"\.word\s+0x([0-9a-f]+)", following)
                if len(words) == 3:
                    break
            described.block = int(words[0], 16) * int(words[1], 16) * int(words[2], 16)
        elif code is not None:
            if match := re.match(r"(\.L_x_\d+):", stripped):
                code.labels[match[1]] = len(code.instructions)
            elif match := re.match(r"/\*[0-9a-f]{4,}\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9_.]+)(.*)", stripped):
                code.instructions.append(match[1])
                target = re.search(r"\.L_x_\d+", match[2]) if match[1].startswith("BRA") else None
                code.targets.append(target[0] if target else None)
    return [kernel for kernel in found.values() if kernel.instructions]


def short_name(mangled: str) -> str:
    """Returns `splat_blend<3, true>` of an Itanium-mangled kernel name: the last part, with literal template arguments.

    Needs no demangler; what it cannot read comes back as it is.
    """
    if not mangled.startswith("_Z"):
        return mangled
    at, name, rest = 3 if mangled.startswith("_ZN") else 2, "", mangled
    while match := re.match(r"(\d+)", mangled[at:]):
        start = at + len(match[1])
        name, at = mangled[start : start + int(match[1])], start + int(match[1])
        rest = mangled[at:]
    if not rest.startswith("I"):
        return name or mangled
    words, rest = [], rest[1:]
    while not rest.startswith("E"):
        if match := re.match(r"Lb([01])E", rest):
            words.append("true" if match[1] == "1" else "false")
        elif match := re.match(r"L[a-z](n?)(\d+)E", rest):
            words.append(("-" if match[1] else "") + match[2])
        elif match := re.match(r"[a-z]", rest):
            words.append({"f": "float", "d": "double", "i": "int", "j": "unsigned"}.get(rest[0], rest[0]))
        else:
            return mangled
        rest = rest[match.end() :]
    return f"{name}<{', '.join(words)}>"
