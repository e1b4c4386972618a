// Depth order and tile lists: one stable sort of the drawn splats of a view, then one stable counting sort into
// tiles, so that no list needs sorting by itself.
//
// Splats are first dealt into a few groups of neighbouring depths, about equally large. A group then is a task: its
// radix sort runs within the first caches of one core, and no two cores write to the same cache lines.
#include "cpu/splat_bin.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "cpu/pool.h"

namespace a3d {
namespace {

// Exactly testing every tile pays only for splats that span more tiles than this; the blend drops the rest anyway.
constexpr int kTestAbove = 6;

// Whether the ellipse alpha >= 1/255 reaches a pixel centre of the tile: the nearest point of a rectangle under the
// ellipse's metric lies on the edge towards the centre (Radl et al., "StopThePop", 2024).
bool reaches(const SplatRecord& r, int64_t tile_x, int64_t tile_y) {
  const float left = float(tile_x * kTile) + 0.5f - r.x, right = left + (kTile - 1);
  const float top = float(tile_y * kTile) + 0.5f - r.y, bottom = top + (kTile - 1);
  const float px = std::min(right, std::max(left, 0.f)), py = std::min(bottom, std::max(top, 0.f));
  const float y = std::min(bottom, std::max(top, r.slope_y * px)), x = std::min(right, std::max(left, r.slope_x * py));
  const float q = std::min((r.a * px + r.b * y) * px + r.c * y * y, (r.a * x + r.b * py) * x + r.c * py * py);
  return q <= (r.log2_opacity - kLog2AlphaMin) * 1.00001f + 1e-5f;
}

// Calls visit(tile, whether the splat reaches it) for the tiles of a rectangle. Most rectangles have up to 2x2 tiles,
// and how many cannot be guessed: those take one path without branches, in which tiles beyond the rectangle are not
// reached.
template <class Visit>
void for_each_tile(const TileRect rect, const SplatRecord* record, int64_t tiles_x, const Visit& visit) {
  const int64_t first = rect.y * tiles_x + rect.x;
  if (rect.wide <= 2 && rect.high <= 2) {
    const bool right = rect.wide > 1, below = rect.high > 1;
    visit(first, true), visit(first + 1, right);
    visit(first + tiles_x, below), visit(first + tiles_x + 1, right && below);
    return;
  }
  const bool test = rect.count() > kTestAbove;
  for (int64_t y = 0; y < rect.high; y++)
    for (int64_t x = 0; x < rect.wide; x++)
      visit(first + y * tiles_x + x, !test || reaches(*record, rect.x + x, rect.y + y));
}

constexpr int64_t kGroupSize = 3072;  // splats: with its spare, what the first cache holds
constexpr int64_t kGroups = 16;       // at most
constexpr int kDealBits = 11;         // depths are told apart this finely when groups are cut
constexpr int kDigitBits = 11;        // largest radix digit within a group

struct Range {
  int64_t begin, end;
};
Range part_of(int64_t n, int64_t part, int64_t parts) { return {n * part / parts, n * (part + 1) / parts}; }

// Turns the chunks' numbers into what comes before each; returns their sums.
ChunkSummary sum_chunks(const SplatInputs& in, const SplatState& state, int64_t view) {
  const int64_t chunks = chunks_of(in.splats);
  ChunkSummary all = {kHidden, 0, 0, 0};
  for (int64_t chunk = 0; chunk < chunks; chunk++) {
    const ChunkSummary& s = state.chunks[view * chunks + chunk];
    all.nearest = std::min(all.nearest, s.nearest), all.farthest = std::max(all.farthest, s.farthest);
    state.chunk_slots[view * chunks + chunk] = uint32_t(std::min<uint64_t>(all.slots, UINT32_MAX));
    all.drawn += s.drawn, all.slots += s.slots;
  }
  state.slot_counts[view] = uint32_t(std::min<uint64_t>(all.slots, UINT32_MAX));
  return all;
}

// Deals the drawn splats of a view into groups: state.spare, in the order of their indices, and state.group_begin.
// Returns the least key of each group's range, and that of the next.
struct Deal {
  uint32_t low[kGroups + 1];
};
Deal deal(const SplatInputs& in, const SplatState& state, int64_t view, const ChunkSummary& all, int64_t groups,
          int threads) {
  const int64_t n = in.splats;
  const uint32_t *keys = state.keys + view * n, nearest = all.nearest;
  const int shift = std::max(0, int(std::bit_width(all.farthest - nearest)) - kDealBits);
  constexpr uint32_t kBuckets = 1u << kDealBits;  // and one more for splats that are not drawn
  const auto bucket_of = [=](uint32_t key) { return std::min((key - nearest) >> shift, kBuckets); };

  const int64_t parts = std::clamp<int64_t>(threads, 1, groups);
  uint32_t counts[kGroups][kBuckets + 1];
  Pool::run(parts, threads, [&](int64_t part) {
    const Range range = part_of(n, part, parts);
    std::memset(counts[part], 0, sizeof(counts[part]));
    for (int64_t i = range.begin; i < range.end; i++) counts[part][bucket_of(keys[i])]++;
  });
  uint8_t group_of[kBuckets + 1];
  uint32_t next[kGroups][kGroups + 1] = {};  // where a part writes its next splat of a group; the last: not drawn
  Deal result;
  int64_t *begin = state.group_begin + view * (groups + 1), group = 0, dealt = 0;
  begin[0] = 0, result.low[0] = nearest;
  for (uint32_t bucket = 0; bucket < kBuckets; bucket++) {
    while (group + 1 < groups && dealt >= all.drawn * (group + 1) / groups) {
      group++;
      begin[group] = dealt, result.low[group] = nearest + (bucket << shift);
    }
    group_of[bucket] = uint8_t(group);
    for (int64_t part = 0; part < parts; part++)
      dealt += counts[part][bucket], next[part][group] += counts[part][bucket];
  }
  while (group < groups) begin[++group] = all.drawn, result.low[group] = all.farthest + 1;
  group_of[kBuckets] = uint8_t(groups);
  for (int64_t g = 0; g < groups; g++) {
    uint32_t at = uint32_t(begin[g]);
    for (int64_t part = 0; part < parts; part++) std::swap(at, next[part][g]), at += next[part][g];
  }
  SortEntry* out = state.spare + view * n;
  Pool::run(parts, threads, [&](int64_t part) {
    const Range range = part_of(n, part, parts);
    uint32_t at[kGroups + 1];  // a copy of its own: parts would pass the cache line to and fro
    std::copy_n(next[part], groups + 1, at);
    for (int64_t i = range.begin; i < range.end; i++) {
      const uint32_t group = group_of[bucket_of(keys[i])];
      if (group < groups) out[at[group]++] = {keys[i], uint32_t(i)};
    }
  });
  return result;
}

// Sorts n entries with keys in [low, high] from `in` to `out`; both are written to.
void sort_group(SortEntry* in, SortEntry* out, int64_t n, uint32_t low, uint32_t high) {
  const int bits = std::max(1, int(std::bit_width(high - low))), passes = (bits + kDigitBits - 1) / kDigitBits;
  const int digit = (bits + passes - 1) / passes;
  const uint32_t mask = (1u << digit) - 1;
  uint32_t counts[1 << kDigitBits];
  SortEntry *from = in, *to = out;
  for (int pass = 0; pass < passes; pass++) {
    const int shift = pass * digit;
    std::memset(counts, 0, (mask + 1) * sizeof(uint32_t));
    for (int64_t i = 0; i < n; i++) counts[((from[i].key - low) >> shift) & mask]++;
    uint32_t sum = 0;
    for (uint32_t d = 0; d <= mask; d++) std::swap(sum, counts[d]), sum += counts[d];
    for (int64_t i = 0; i < n; i++) to[counts[((from[i].key - low) >> shift) & mask]++] = from[i];
    std::swap(from, to);
  }
  if (from != out) std::memcpy(out, from, n * sizeof(SortEntry));
}

uint32_t* histogram_of(const SplatState& state, int64_t view, const BinPlan& plan, int64_t group) {
  return state.histogram + (view * plan.groups + group) * plan.histogram;
}

void count_group(const SplatInputs& in, const SplatState& state, int64_t view, Range range, uint32_t* counts) {
  const SplatRecord* records = state.records + view * in.splats;
  const TileRect* rects = state.rects + view * in.splats;
  const SortEntry* order = state.order + view * in.splats;
  std::memset(counts, 0, (state.tiles_x * state.tiles_y + state.tiles_x + 1) * sizeof(uint32_t));
  for (int64_t i = range.begin; i < range.end; i++) {
    const uint32_t id = order[i].splat;
    __builtin_prefetch(&rects[order[std::min(i + 16, range.end - 1)].splat]);
    for_each_tile(rects[id], records + id, state.tiles_x, [&](int64_t tile, bool hit) { counts[tile] += hit; });
  }
}

void list_group(const SplatInputs& in, const SplatState& state, int64_t view, Range range, uint32_t* next) {
  const SplatRecord* records = state.records + view * in.splats;
  const TileRect* rects = state.rects + view * in.splats;
  const SortEntry* order = state.order + view * in.splats;
  uint32_t* out = state.pair_splat + state.tile_begin[view * (state.tiles_x * state.tiles_y + 1)];
  uint32_t nowhere = 0;
  for (int64_t i = range.begin; i < range.end; i++) {
    const uint32_t id = order[i].splat;
    __builtin_prefetch(&rects[order[std::min(i + 16, range.end - 1)].splat]);
    for_each_tile(rects[id], records + id, state.tiles_x, [&](int64_t tile, bool hit) {
      // A tile that is not reached may have no room left: its write goes to a place that nobody reads.
      *(hit ? &out[next[tile]] : &nowhere) = id;
      next[tile] += hit;
    });
  }
}

Range group_range(const SplatState& state, int64_t view, const BinPlan& plan, int64_t group) {
  const int64_t* begin = state.group_begin + view * (plan.groups + 1) + group;
  return {begin[0], begin[1]};
}

void sort_view(const SplatInputs& in, const SplatState& state, int64_t view, const BinPlan& plan, int threads) {
  const ChunkSummary all = sum_chunks(in, state, view);
  Deal dealt = {};
  if (all.drawn)
    dealt = deal(in, state, view, all, plan.groups, threads);
  else
    std::fill_n(state.group_begin + view * (plan.groups + 1), plan.groups + 1, 0);
  Pool::run(plan.groups, threads, [&](int64_t group) {
    const Range range = group_range(state, view, plan, group);
    const int64_t at = view * in.splats + range.begin, count = range.end - range.begin;
    if (count) sort_group(state.spare + at, state.order + at, count, dealt.low[group], dealt.low[group + 1] - 1);
    count_group(in, state, view, range, histogram_of(state, view, plan, group));
  });
}
}  // namespace

BinPlan bin_plan(int64_t splats, int64_t tiles) {
  const int64_t counters = 2 * tiles + 2;  // some tiles beyond the last are touched
  return {std::clamp<int64_t>(splats / kGroupSize, 1, kGroups), (counters + 15) / 16 * 16};
}

void sort_by_depth(const SplatInputs& in, const SplatState& state, int threads) {
  const BinPlan plan = bin_plan(in.splats, state.tiles_x * state.tiles_y);
  // Views run side by side when there are enough of them; otherwise one after the other, each in parts.
  const bool side_by_side = in.views >= threads;
  Pool::run(in.views, side_by_side ? threads : 1,
            [&](int64_t view) { sort_view(in, state, view, plan, side_by_side ? 1 : threads); });
}

int64_t place_pairs(const SplatInputs& in, const SplatState& state) {
  const int64_t tiles = state.tiles_x * state.tiles_y;
  const BinPlan plan = bin_plan(in.splats, tiles);
  int64_t total = 0;
  for (int64_t view = 0; view < in.views; view++) {
    int64_t* begin = state.tile_begin + view * (tiles + 1);
    uint32_t *first = histogram_of(state, view, plan, 0), within = 0;
    for (int64_t group = 1; group < plan.groups; group++) {  // the first row becomes the sum of all before a group
      uint32_t* counts = first + group * plan.histogram;
      for (int64_t tile = 0; tile < tiles; tile++) std::swap(first[tile], counts[tile]), first[tile] += counts[tile];
    }
    for (int64_t tile = 0; tile < tiles; tile++) {
      begin[tile] = total + within;
      std::swap(within, first[tile]), within += first[tile];  // and in the end, where the tile begins
    }
    for (int64_t group = 1; group < plan.groups; group++) {
      uint32_t* next = first + group * plan.histogram;
      for (int64_t tile = 0; tile < tiles; tile++) next[tile] += first[tile];
    }
    begin[tiles] = total += within;
  }
  return total;
}

void list_pairs(const SplatInputs& in, const SplatState& state, int threads) {
  const BinPlan plan = bin_plan(in.splats, state.tiles_x * state.tiles_y);
  Pool::run(in.views * plan.groups, threads, [&](int64_t task) {
    const int64_t view = task / plan.groups, group = task % plan.groups;
    list_group(in, state, view, group_range(state, view, plan, group), histogram_of(state, view, plan, group));
  });
}

}  // namespace a3d
