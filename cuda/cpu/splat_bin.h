// Depth order and tile lists; compiled once, for it moves integers only.
#pragma once
#include "cpu/splat.h"

namespace a3d {

// How a view's splats are split: into `groups` ranges of depth, each with `histogram` counters of scratch. Results do
// not depend on the number of groups: the sort is stable and the lists follow it.
struct BinPlan {
  int64_t groups, histogram;
};
BinPlan bin_plan(int64_t splats, int64_t tiles);

// Sorts the drawn splats of every view near to far (ties by index), counts the tiles they reach, and gives each chunk
// its gradient slots.
void sort_by_depth(const SplatInputs& in, const SplatState& state, int threads);

// Gives every tile its range of pairs, state.tile_begin; returns the number of (splat, tile) pairs over all views.
int64_t place_pairs(const SplatInputs& in, const SplatState& state);

// Writes the pairs, near to far within a tile; after place_pairs.
void list_pairs(const SplatInputs& in, const SplatState& state, int threads);

}  // namespace a3d
