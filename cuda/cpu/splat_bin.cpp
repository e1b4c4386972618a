// Depth order and tile lists: one stable radix sort of the drawn splats of a view, then one stable counting sort into
// tiles, so that no list needs sorting by itself.
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

template <class Visit>
void for_each_tile(const SplatRecord& r, int64_t tiles_x, const Visit& visit) {
  const bool test = r.tiles_wide * r.tiles_high > kTestAbove;
  for (int64_t y = r.tile_y; y < r.tile_y + r.tiles_high; y++)
    for (int64_t x = r.tile_x; x < r.tile_x + r.tiles_wide; x++)
      if (!test || reaches(r, x, y)) visit(y * tiles_x + x);
}

struct Range {
  int64_t begin, end;
};
Range part_of(int64_t n, int64_t part, int64_t parts) { return {n * part / parts, n * (part + 1) / parts}; }

// Runs f(part) for the parts of one view, in parallel only when the views themselves are not.
template <class Function>
void run_parts(int64_t parts, const Function& f) {
  Pool::run(parts, int(parts), f);
}

void sort_view(const SplatInputs& in, const SplatState& state, int64_t view, const BinPlan& plan) {
  const int64_t n = in.splats, parts = plan.parts;
  SplatRecord* records = state.records + view * n;
  uint32_t* depth = state.keys + view * n;
  uint32_t *keys = state.sort_keys + view * n, *order = state.sort_order + view * n;
  uint32_t *other_keys = depth, *other_order = state.order + view * n;
  uint32_t* histogram = state.histogram + view * parts * plan.histogram;

  struct Summary {
    uint32_t low = kHidden, high = 0, drawn = 0;
    uint64_t slots = 0;
  } summary[64];
  run_parts(parts, [&](int64_t part) {
    Summary s;
    const Range range = part_of(n, part, parts);
    for (int64_t i = range.begin; i < range.end; i++) {
      if (depth[i] == kHidden) continue;
      s.low = std::min(s.low, depth[i]), s.high = std::max(s.high, depth[i]), s.drawn++;
      s.slots += uint64_t(records[i].tiles_wide) * records[i].tiles_high;
    }
    summary[part] = s;
  });
  uint32_t low = kHidden, high = 0, drawn = 0;
  uint64_t slots = 0;
  for (int64_t part = 0; part < parts; part++) {
    Summary& s = summary[part];
    low = std::min(low, s.low), high = std::max(high, s.high);
    std::swap(drawn, s.drawn), drawn += s.drawn;  // s.drawn and s.slots become what comes before the part
    std::swap(slots, s.slots), slots += s.slots;
  }
  state.visible[view] = drawn;
  state.slot_counts[view] = uint32_t(std::min<uint64_t>(slots, UINT32_MAX));
  if (!drawn) return;
  run_parts(parts, [&](int64_t part) {
    const Range range = part_of(n, part, parts);
    uint32_t at = summary[part].drawn;
    uint64_t slot = summary[part].slots;
    for (int64_t i = range.begin; i < range.end; i++) {
      if (depth[i] == kHidden) continue;
      keys[at] = depth[i] - low, order[at++] = uint32_t(i);
      records[i].slot = uint32_t(slot);
      slot += uint64_t(records[i].tiles_wide) * records[i].tiles_high;
    }
  });

  const int bits = std::bit_width(high - low), passes = std::max(1, (bits + kDigitBits - 1) / kDigitBits);
  const int digit = std::max(1, (bits + passes - 1) / passes);
  const uint32_t mask = (1u << digit) - 1;
  for (int pass = 0; pass < passes; pass++) {
    const int shift = pass * digit;
    run_parts(parts, [&](int64_t part) {
      uint32_t* counts = histogram + part * plan.histogram;
      std::memset(counts, 0, sizeof(uint32_t) << digit);
      const Range range = part_of(drawn, part, parts);
      for (int64_t i = range.begin; i < range.end; i++) counts[(keys[i] >> shift) & mask]++;
    });
    uint32_t sum = 0;
    for (uint32_t d = 0; d <= mask; d++)
      for (int64_t part = 0; part < parts; part++) {
        uint32_t& count = histogram[part * plan.histogram + d];
        std::swap(sum, count), sum += count;
      }
    run_parts(parts, [&](int64_t part) {
      uint32_t* next = histogram + part * plan.histogram;
      const Range range = part_of(drawn, part, parts);
      for (int64_t i = range.begin; i < range.end; i++) {
        const uint32_t to = next[(keys[i] >> shift) & mask]++;
        other_keys[to] = keys[i], other_order[to] = order[i];
      }
    });
    std::swap(keys, other_keys), std::swap(order, other_order);
  }
  if (order != state.order + view * n) std::memcpy(state.order + view * n, order, drawn * sizeof(uint32_t));
}

void count_view(const SplatInputs& in, const SplatState& state, int64_t view, const BinPlan& plan) {
  const int64_t tiles = state.tiles_x * state.tiles_y;
  const SplatRecord* records = state.records + view * in.splats;
  const uint32_t* order = state.order + view * in.splats;
  uint32_t* histogram = state.histogram + view * plan.parts * plan.histogram;
  run_parts(plan.parts, [&](int64_t part) {
    uint32_t* counts = histogram + part * plan.histogram;
    std::memset(counts, 0, tiles * sizeof(uint32_t));
    const Range range = part_of(state.visible[view], part, plan.parts);
    for (int64_t i = range.begin; i < range.end; i++) {
      __builtin_prefetch(&records[order[std::min(i + 16, range.end - 1)]]);
      for_each_tile(records[order[i]], state.tiles_x, [&](int64_t tile) { counts[tile]++; });
    }
  });
}

void list_view(const SplatInputs& in, const SplatState& state, int64_t view, const BinPlan& plan) {
  const SplatRecord* records = state.records + view * in.splats;
  const uint32_t* order = state.order + view * in.splats;
  const int64_t base = state.tile_begin[view * (state.tiles_x * state.tiles_y + 1)];
  uint32_t* histogram = state.histogram + view * plan.parts * plan.histogram;
  run_parts(plan.parts, [&](int64_t part) {
    uint32_t* next = histogram + part * plan.histogram;
    const Range range = part_of(state.visible[view], part, plan.parts);
    for (int64_t i = range.begin; i < range.end; i++) {
      __builtin_prefetch(&records[order[std::min(i + 16, range.end - 1)]]);
      for_each_tile(records[order[i]], state.tiles_x,
                    [&](int64_t tile) { state.pair_splat[base + next[tile]++] = order[i]; });
    }
  });
}

// Views run side by side when there are enough of them; otherwise one after the other, each in parts.
template <class Stage>
void run_views(int64_t views, int64_t parts, int threads, const Stage& stage) {
  if (parts == 1) return Pool::run(views, threads, stage);
  for (int64_t view = 0; view < views; view++) stage(view);
}
}  // namespace

BinPlan bin_plan(int64_t views, int64_t tiles, int threads) {
  const int64_t parts = views >= threads ? 1 : std::clamp<int64_t>(threads, 1, 16);
  return {parts, std::max<int64_t>(int64_t(1) << kDigitBits, tiles)};
}

void sort_by_depth(const SplatInputs& in, const SplatState& state, int threads) {
  const BinPlan plan = bin_plan(in.views, state.tiles_x * state.tiles_y, threads);
  run_views(in.views, plan.parts, threads, [&](int64_t view) { sort_view(in, state, view, plan); });
}

int64_t count_pairs(const SplatInputs& in, const SplatState& state, int threads) {
  const int64_t tiles = state.tiles_x * state.tiles_y;
  const BinPlan plan = bin_plan(in.views, tiles, threads);
  run_views(in.views, plan.parts, threads, [&](int64_t view) { count_view(in, state, view, plan); });
  int64_t total = 0;
  for (int64_t view = 0; view < in.views; view++) {
    int64_t* begin = state.tile_begin + view * (tiles + 1);
    uint32_t* histogram = state.histogram + view * plan.parts * plan.histogram;
    uint32_t within = 0;  // each part's counters become where it writes its next pair of the tile
    for (int64_t tile = 0; tile < tiles; tile++) {
      begin[tile] = total + within;
      for (int64_t part = 0; part < plan.parts; part++) {
        uint32_t& count = histogram[part * plan.histogram + tile];
        std::swap(within, count), within += count;
      }
    }
    begin[tiles] = total += within;
  }
  return total;
}

void list_pairs(const SplatInputs& in, const SplatState& state, int threads) {
  const BinPlan plan = bin_plan(in.views, state.tiles_x * state.tiles_y, threads);
  run_views(in.views, plan.parts, threads, [&](int64_t view) { list_view(in, state, view, plan); });
}

}  // namespace a3d
