// Lists the splats of every tile near to far. Splats are already in order of depth: they are listed in this order, and
// a stable sort by tile keeps it; so the long sort has the few bits of a tile's number for a key.
#include "gpu/splat_device.h"

namespace a3d::gpu {
namespace {

constexpr int kAlone = 16;  // tiles that one thread tests; larger splats are tested by their whole warp, tile by lane

__device__ __forceinline__ float4 place_of(const SplatRecord* r) { return reinterpret_cast<const float4*>(r)[0]; }
__device__ __forceinline__ float4 shape_of(const SplatRecord* r) { return reinterpret_cast<const float4*>(r)[1]; }

// Tile `t` of a splat's rectangle, row by row, and whether the splat reaches it.
struct Candidate {
  uint32_t tile;
  bool reached;
};
__device__ __forceinline__ Candidate candidate(const SplatScene& scene, const SplatRecord* record, TileRect rect,
                                               uint32_t t) {
  const uint32_t x = rect.x + t % rect.wide, y = rect.y + t / rect.wide;
  return {y * scene.tiles_x + x, reaches(place_of(record), shape_of(record), float(x * kTile) + 0.5f,
                                         float(y * kTile) + 0.5f, float(kTile), float(kTile))};
}

__device__ __forceinline__ void write_pair(const SplatForward& args, uint32_t slot, uint32_t number, uint32_t tile) {
  const uint32_t view = uint32_t(number / args.scene.splats);
  args.state.pair_tiles[0][slot] = view * args.scene.tiles_x * args.scene.tiles_y + tile;
  args.state.pair_slots[0][slot] = slot, args.state.pair_splats[slot] = number;
}

// Number of tiles that splat `number` reaches; all lanes of a warp must call it. With `write` also lists them from
// `slot` on. Counting and listing are one function, so that they cannot disagree.
template <bool write>
__device__ __forceinline__ uint32_t visit_tiles(const SplatForward& args, bool drawn, uint32_t number, uint32_t slot) {
  const TileRect nothing = {0, 0, 0, 0}, rect = drawn ? args.state.rects[number] : nothing;
  const uint32_t area = uint32_t(rect.wide) * rect.high, lane = threadIdx.x & 31;
  uint32_t reached = 0;
  if (area <= kAlone) {
    for (uint32_t t = 0; t < area; t++) {
      const Candidate c = candidate(args.scene, args.state.records + number, rect, t);
      if (write && c.reached) write_pair(args, slot + reached, number, c.tile);
      reached += c.reached;
    }
  }
  for (unsigned large = __ballot_sync(kAllLanes, area > kAlone); large; large &= large - 1) {
    const int owner = __ffs(large) - 1;
    const uint32_t its_number = __shfl_sync(kAllLanes, number, owner), its_slot = __shfl_sync(kAllLanes, slot, owner);
    const TileRect its_rect = args.state.rects[its_number];
    const uint32_t its_area = uint32_t(its_rect.wide) * its_rect.high;
    uint32_t its_reached = 0;
    for (uint32_t first = 0; first < its_area; first += 32) {
      Candidate c = {0, false};
      if (first + lane < its_area) c = candidate(args.scene, args.state.records + its_number, its_rect, first + lane);
      const unsigned hits = __ballot_sync(kAllLanes, c.reached);
      const uint32_t before = __popc(hits & ((1u << lane) - 1));
      if (write && c.reached) write_pair(args, its_slot + its_reached + before, its_number, c.tile);
      its_reached += __popc(hits);
    }
    if (lane == uint32_t(owner)) reached = its_reached;
  }
  return reached;
}

__device__ __forceinline__ bool fits(const SplatForward& args) { return int64_t(*args.counts) <= args.room; }
}  // namespace

// Empty lists, and no pairs yet. One thread for each tile of each view.
A3D_KERNEL(a3d_splat_begin, SplatForward, kBinThreads) {
  const int64_t tile = int64_t(blockIdx.x) * kBinThreads + threadIdx.x;
  if (tile == 0) args.counts[0] = args.counts[1] = 0;
  if (tile < int64_t(args.scene.views) * args.scene.tiles_x * args.scene.tiles_y) args.state.tiles[tile] = {0, 0};
}

// How many tiles each splat reaches, by depth. One thread for each splat of each view.
A3D_KERNEL(a3d_splat_reach, SplatForward, kBinThreads) {
  const int64_t rank = int64_t(blockIdx.x) * kBinThreads + threadIdx.x;
  const bool valid = rank < args.scene.views * args.scene.splats;
  const uint32_t number = valid ? args.state.order[args.from][rank] : 0;
  const uint32_t reached = visit_tiles<false>(args, valid, number, 0);
  if (valid) args.state.begins[rank] = reached;
  unsigned long long sum = reached;  // in 64 bits: it must not wrap, whatever the splats' sizes
#pragma unroll
  for (int bit = 16; bit; bit /= 2) sum += __shfl_xor_sync(kAllLanes, sum, bit);
  if ((threadIdx.x & 31) == 0 && sum) atomicAdd(args.counts, sum), atomicAdd(args.counts + 1, sum);
}

// Writes the pairs from each splat's first slot on, if there is room for all. One thread for each splat of each view.
A3D_KERNEL(a3d_splat_pairs, SplatForward, kBinThreads) {
  if (!fits(args)) return;
  const int64_t rank = int64_t(blockIdx.x) * kBinThreads + threadIdx.x;
  const bool valid = rank < args.scene.views * args.scene.splats;
  const uint32_t number = valid ? args.state.order[args.from][rank] : 0, slot = valid ? args.state.begins[rank] : 0;
  const uint32_t reached = visit_tiles<true>(args, valid, number, slot);
  if (valid) args.state.slots[number] = {slot, slot + reached};
}

// From the sorted pairs: where each tile's begin and end. One thread for each pair there is room for.
A3D_KERNEL(a3d_splat_tiles, SplatForward, kBinThreads) {
  const int64_t pairs = fits(args) ? int64_t(*args.counts) : 0, at = int64_t(blockIdx.x) * kBinThreads + threadIdx.x;
  if (at >= pairs) return;
  const uint32_t* tiles = args.state.pair_tiles[args.from];
  const uint32_t tile = tiles[at], slot = args.state.pair_slots[args.from][at];
  if (at == 0 || tiles[at - 1] != tile) args.state.tiles[tile].begin = uint32_t(at);
  if (at + 1 == pairs || tiles[at + 1] != tile) args.state.tiles[tile].end = uint32_t(at + 1);
  args.state.listed[at] = args.state.pair_splats[slot];
  args.state.slot_of[at] = slot;
}

}  // namespace a3d::gpu
