"""Mistakes that GPUs hide until they hurt: each must be caught and named, in every order of threads."""

import pytest
import torch
from emulated import EmulatorError

BUGS = {
    1: r"race on shared values\[\d+\]|shared values\[\d+\] is read before any thread wrote it",
    2: r"race on shared values\[\d+\]: thread \d+ (writes|reads) what thread \d+ (read|wrote)",
    3: r"divergent barrier: thread \d+ waits at .*planted.cu:\d+, thread \d+ at .*planted.cu:\d+",
    4: r"divergent barrier: thread 5 has returned",
    5: r"shared values\[64\] is out of bounds: it has 64 elements",
    6: r"shared values\[7\] is read before any thread wrote it",
    7: r"divergent warp operation: thread \d+ is at .*planted.cu:27 with mask ffffffff",
    8: r"a shuffle reads lane 20, which is not in its mask 0000ffff",
    9: r"race on shared values\[\d+\]|shared values\[\d+\] is read before",
    10: r"race on shared total\[0\]",
}


def run(library, bug: int) -> torch.Tensor:
    values = torch.arange(128, dtype=torch.float32)
    out = torch.zeros(128)
    library.call("a3d_planted", values, out, 128, bug)
    return out


@pytest.mark.parametrize("bug", BUGS)
def test_is_caught_and_named(emulated, bug):
    with pytest.raises(EmulatorError, match=BUGS[bug]) as error:
        run(emulated, bug)
    assert str(error.value).startswith("planted: ") and "block " in str(error.value)


def test_without_a_bug_it_runs(emulated):
    values = torch.arange(128, dtype=torch.float32).view(2, 64)
    assert torch.equal(run(emulated, 0).view(2, 64), 2 * (values + values.roll(-1, 1)))


def test_runs_after_an_error(emulated):
    with pytest.raises(EmulatorError):
        run(emulated, 3)
    assert run(emulated, 0).any()
