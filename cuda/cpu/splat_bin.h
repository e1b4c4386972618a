// Depth order and tile lists; compiled once, for it moves integers only.
#pragma once
#include "cpu/splat.h"

namespace a3d {

constexpr int kDigitBits = 13;  // largest radix digit: 8192 counters fit the first-level cache

// How the per-view stages split their work: into `parts` ranges, each with `histogram` counters of scratch. Results do
// not depend on `parts`: the sort is stable and the lists follow it.
struct BinPlan {
  int64_t parts, histogram;
};
BinPlan bin_plan(int64_t views, int64_t tiles, int threads);

// Sorts the drawn splats of every view near to far (ties by index) and gives each its gradient slots.
void sort_by_depth(const SplatInputs& in, const SplatState& state, int threads);

// Counts the (splat, tile) pairs of every tile into state.tile_begin; returns their number over all views.
int64_t count_pairs(const SplatInputs& in, const SplatState& state, int threads);

// Writes the pairs, near to far within a tile; after count_pairs.
void list_pairs(const SplatInputs& in, const SplatState& state, int threads);

}  // namespace a3d
