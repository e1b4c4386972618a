import pytest
import torch
from emulated import EmulatorError


def test_counts_events_by_lane_and_by_warp(library):
    library.reset()
    library.call("a3d_planted", torch.zeros(128), torch.zeros(128), 128, 0)
    c = library.counters("planted")
    assert (c.launches, c.blocks, c.warps, c.threads) == (1, 2, 4, 128)
    assert c.barriers == 2 * 6 and c.warp_operations == 2 * 32
    assert c.lane[:2] == (256, 128)  # each of 128 threads counts event 0 twice, every other event 1 twice
    assert c.warp[:2] == (8, 8)
    assert c.shared_writes > 0 and c.shared_reads > 0


def test_kernels_and_functions_have_their_names(library):
    assert {"planted", "a3d_sort_count", "a3d_scan_top"} <= set(library.kernels())
    with pytest.raises(EmulatorError, match="no kernel missing"):
        library.counters("missing")
    with pytest.raises(EmulatorError, match="order 7 is not"):
        library.call("a3d_emulator_order", 7, 0)


@pytest.mark.parametrize(("n", "bits"), [(0, 32), (1, 32), (700, 8), (5000, 32), (5000, 11)])
def test_sort_is_stable(emulated, n, bits):
    g = torch.Generator().manual_seed(n)
    keys = torch.zeros(2, n, dtype=torch.int32)
    keys[0] = torch.randint(-(2**31), 2**31 - 1, (n,), generator=g).int()
    keys[0, ::3] = 77  # ties
    values = torch.zeros(2, n, dtype=torch.int32)
    values[0] = torch.arange(n)
    words, which = torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.int32)
    emulated.call("a3d_gpu_sort_workspace", n, words)
    want = (keys[0].long() & ((1 << bits) - 1)).sort(stable=True).indices
    scratch = torch.zeros(int(words), dtype=torch.int32)
    before = keys[0].clone()
    emulated.call("a3d_gpu_sort", n, bits, keys, values, scratch, which, None)
    assert torch.equal(values[int(which)].long(), want)
    assert torch.equal(keys[int(which)], before[want])


@pytest.mark.parametrize("n", [0, 5, 20_000, 300_000])
def test_scan_of_few_and_of_more_tiles_than_a_block_has_threads(emulated, n):
    values = torch.arange(n, dtype=torch.int32) % 7
    want = values.cumsum(0) - values
    emulated.call("a3d_planted_scan", values, torch.zeros(293, dtype=torch.int32), len(values))
    assert torch.equal(values.long(), want)


def test_sort_of_a_wrong_size_is_refused(library):
    empty = torch.zeros(0, dtype=torch.int32)
    with pytest.raises(EmulatorError, match="out of range"):
        library.call("a3d_gpu_sort", 4, 40, empty, empty, empty, torch.zeros(1, dtype=torch.int32), None)
