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

// Fewer splats than this are sorted and counted faster by one thread: two pass each other's cache lines to and fro.
constexpr int64_t kSortPart = 100000;

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

struct Range {
  int64_t begin, end;
};
Range part_of(int64_t n, int64_t part, int64_t parts) { return {n * part / parts, n * (part + 1) / parts}; }

// Runs f(part) for the parts of one view, in parallel only when the views themselves are not.
template <class Function>
void run_parts(int64_t parts, const Function& f) {
  Pool::run(parts, int(parts), f);
}

// Turns the parts' counters into where each part writes its first key of a digit: digit by digit, part by part.
void prefix(uint32_t* histogram, int64_t stride, int64_t parts, int64_t digits) {
  uint32_t sum = 0;
  for (int64_t d = 0; d < digits; d++)
    for (int64_t part = 0; part < parts; part++) {
      uint32_t& count = histogram[part * stride + d];
      std::swap(sum, count), sum += count;
    }
}

void count_digits(const uint32_t* keys, Range range, int shift, uint32_t mask, uint32_t* counts) {
  std::memset(counts, 0, (mask + 1) * sizeof(uint32_t));
  for (int64_t i = range.begin; i < range.end; i++) counts[(keys[i] >> shift) & mask]++;
}

void sort_view(const SplatInputs& in, const SplatState& state, int64_t view, const BinPlan& plan) {
  const int64_t n = in.splats, chunks = chunks_of(n), parts = std::clamp<int64_t>(n / kSortPart, 1, plan.parts);
  uint32_t* depth = state.keys + view * n;
  uint32_t *keys = state.sort_keys + view * n, *order = state.sort_order + view * n;
  uint32_t *other_keys = depth,
           *other_order = state.order + view * n;  // the depths are not needed after the first pass
  uint32_t* histogram = state.histogram + view * parts * plan.histogram;

  ChunkSummary* summaries = state.chunks + view * chunks;
  uint32_t nearest = kHidden, farthest = 0, drawn = 0;
  uint64_t slots = 0;
  for (int64_t chunk = 0; chunk < chunks; chunk++) {
    ChunkSummary& s = summaries[chunk];
    nearest = std::min(nearest, s.nearest), farthest = std::max(farthest, s.farthest);
    std::swap(drawn, s.drawn), drawn += s.drawn;  // these two become what comes before the chunk
    std::swap(slots, s.slots), slots += s.slots;
  }
  state.visible[view] = drawn;
  state.slot_counts[view] = uint32_t(std::min<uint64_t>(slots, UINT32_MAX));
  if (!drawn) return;
  const int bits = std::bit_width(farthest - nearest), passes = std::max(1, (bits + kDigitBits - 1) / kDigitBits);
  const int digit = std::max(1, (bits + passes - 1) / passes);
  const uint32_t mask = (1u << digit) - 1;

  // Packs the drawn splats, hands out their slots, and counts the lowest digits on the way.
  run_parts(parts, [&](int64_t part) {
    const Range range = part_of(chunks, part, parts);
    if (range.begin == range.end) return void(std::memset(histogram + part * plan.histogram, 0, (mask + 1) * 4));
    const uint32_t first = summaries[range.begin].drawn;
    uint32_t at = first, slot = uint32_t(summaries[range.begin].slots);
    TileRect* rects = state.rects + view * n;
    for (int64_t i = range.begin * kChunk; i < std::min(n, range.end * kChunk); i++) {
      rects[i].slot = slot;
      slot += rects[i].count();
      if (depth[i] != kHidden) keys[at] = depth[i] - nearest, order[at++] = uint32_t(i);
    }
    count_digits(keys, {first, at}, 0, mask, histogram + part * plan.histogram);
  });
  const auto packed = [&](int64_t part) -> int64_t {  // where a part's keys begin before the first pass
    const int64_t chunk = part_of(chunks, part, parts).begin;
    return chunk < chunks ? summaries[chunk].drawn : drawn;
  };
  for (int pass = 0; pass < passes; pass++) {
    const int shift = pass * digit;
    const auto range_of = [&](int64_t part) {
      return pass ? part_of(drawn, part, parts) : Range{packed(part), part + 1 < parts ? packed(part + 1) : drawn};
    };
    if (pass)
      run_parts(parts, [&](int64_t part) {
        count_digits(keys, range_of(part), shift, mask, histogram + part * plan.histogram);
      });
    prefix(histogram, plan.histogram, parts, mask + 1);
    run_parts(parts, [&](int64_t part) {
      uint32_t* next = histogram + part * plan.histogram;
      const Range range = range_of(part);
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
  const TileRect* rects = state.rects + view * in.splats;
  const uint32_t* order = state.order + view * in.splats;
  uint32_t* histogram = state.histogram + view * plan.parts * plan.histogram;
  const auto count = [&](int64_t part) {
    uint32_t* counts = histogram + part * plan.histogram;
    std::memset(counts, 0, (tiles + state.tiles_x + 1) * sizeof(uint32_t));
    const Range range = part_of(state.visible[view], part, plan.parts);
    for (int64_t i = range.begin; i < range.end; i++) {
      const uint32_t id = order[i];
      for_each_tile(rects[id], records + id, state.tiles_x, [&](int64_t tile, bool hit) { counts[tile] += hit; });
    }
  };
  if (in.splats >= kSortPart) return run_parts(plan.parts, count);
  for (int64_t part = 0; part < plan.parts; part++) count(part);
}

void list_view(const SplatInputs& in, const SplatState& state, int64_t view, const BinPlan& plan) {
  const SplatRecord* records = state.records + view * in.splats;
  const TileRect* rects = state.rects + view * in.splats;
  const uint32_t* order = state.order + view * in.splats;
  const int64_t base = state.tile_begin[view * (state.tiles_x * state.tiles_y + 1)];
  uint32_t* histogram = state.histogram + view * plan.parts * plan.histogram;
  run_parts(plan.parts, [&](int64_t part) {
    uint32_t *next = histogram + part * plan.histogram, nowhere = 0;
    const Range range = part_of(state.visible[view], part, plan.parts);
    for (int64_t i = range.begin; i < range.end; i++) {
      const uint32_t id = order[i];
      for_each_tile(rects[id], records + id, state.tiles_x, [&](int64_t tile, bool hit) {
        // A tile that is not reached may have no room left: its write goes to a place that nobody reads.
        *(hit ? &state.pair_splat[base + next[tile]] : &nowhere) = id;
        next[tile] += hit;
      });
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
  return {parts, std::max<int64_t>(int64_t(1) << kDigitBits, 2 * tiles + 2)};  // some tiles beyond the last are touched
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
