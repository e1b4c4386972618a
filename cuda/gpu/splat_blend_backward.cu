// Gradients of blending. Walks front to back once more: with D = sum_i w_i (c_i . g) + T_end (background . g), known
// from the forward result, and P the same sum up to and with splat i,
//   dL/dalpha_i = T_i (c_i . g) - (D - P) / (1 - alpha_i)
// so neither per-pixel lists nor the last splat of each pixel are stored. A warp adds up a splat's sums over its pixels
// by exchanging halves (reduce.h), the block adds its eight warps in order, and the result goes to a slot that this
// (splat, tile) pair owns: no atomics, the same bits in every run.
#include "gpu/reduce.h"
#include "gpu/splat_device.h"

namespace a3d::gpu {
namespace {

constexpr int kWarps = kBlendThreads / 32;
constexpr int kChunks = kBlendBackwardBatch / 32;

// A pixel's cotangents and the running values of the walk.
struct Walk {
  float open;  // transmittance, 0 once done
  float rest;  // D - P, 0 once done
  float red, green, blue, depth;
};

template <bool with_depth>
__device__ __forceinline__ Walk begin_walk(const SplatBackward& args, const TilePixel& pixel) {
  Walk w = {0.f, 0.f, 0.f, 0.f, 0.f, 0.f};
  if (!pixel.inside) return w;
  const int64_t p = pixel.index;
  w.open = 1.f;
  if (args.grad_rgb) {
    w.red = args.grad_rgb[3 * p], w.green = args.grad_rgb[3 * p + 1], w.blue = args.grad_rgb[3 * p + 2];
    w.rest = w.red * args.rgb[3 * p] + w.green * args.rgb[3 * p + 1] + w.blue * args.rgb[3 * p + 2];
  }
  if (with_depth) w.depth = args.grad_depth[p], w.rest += w.depth * args.depth[p];
  // alpha = 1 - T_end, so its cotangent acts as a background of -g.
  if (args.grad_alpha) w.rest -= args.grad_alpha[p] * (1.f - args.alpha[p]);
  return w;
}

// Walks over one splat: its terms at this pixel. Returns whether they are not all 0.
template <bool with_depth>
__device__ __forceinline__ bool step(Walk& w, const float4 place, const float4 shape, const float4 colour, float x,
                                     float y, float (&terms)[with_depth ? kDepthColumns : kColumns]) {
  const float dx = x - place.x, dy = y - place.y, e = exponent(place, shape, dx, dy);
#pragma unroll
  for (float& term : terms) term = 0.f;
  if (e < kLog2AlphaMin || w.open == 0.f) return false;
  const float alpha = min(exp2(e), kAlphaMax), after = minus_product(w.open, alpha, w.open);
  if (after <= kTransmittanceMin) {
    w.open = 0.f;
    return false;
  }
  const float weight = alpha * w.open;
  float along = colour.x * w.red + colour.y * w.green + colour.z * w.blue;
  if (with_depth) along += colour.w * w.depth;
  w.rest -= weight * along, w.open = after;
  // A clamped alpha does not follow its parameters.
  const float v = alpha < kAlphaMax ? weight * along - alpha * w.rest / (1.f - alpha) : 0.f;
  terms[0] = v, terms[1] = v * dx, terms[2] = v * dy;
  terms[3] = terms[1] * dx, terms[4] = terms[1] * dy, terms[5] = terms[2] * dy;
  terms[6] = weight * w.red, terms[7] = weight * w.green, terms[8] = weight * w.blue;
  if constexpr (with_depth) terms[9] = weight * w.depth;
  return true;
}

template <bool with_depth>
__device__ __forceinline__ void blend_backward(const SplatBackward& args) {
  constexpr int columns = with_depth ? kDepthColumns : kColumns;
  A3D_SHARED(float4, places, kBlendBackwardBatch);
  A3D_SHARED(float4, shapes, kBlendBackwardBatch);
  A3D_SHARED(float4, colours, kBlendBackwardBatch);
  A3D_SHARED(uint32_t, slots, kBlendBackwardBatch);
  A3D_SHARED(uint32_t, hits, kWarps * kChunks);  // splats that a warp has sums of, a bit each
  A3D_SHARED(float, sums, kWarps * kBlendBackwardBatch * columns);
  const SplatScene& scene = args.scene;
  const Range range = args.state.tiles[int64_t(blockIdx.y) * scene.tiles_x * scene.tiles_y + blockIdx.x];
  const TilePixel pixel = tile_pixel(scene);
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, column = column_of<columns>();
  const float x = float(pixel.x) + 0.5f, y = float(pixel.y) + 0.5f;
  Walk walk = begin_walk<with_depth>(args, pixel);

  uint32_t first = range.begin;
  for (; first < range.end; first += kBlendBackwardBatch) {
    // All threads have added up the batch before when they know whether a pixel is open.
    if (!__syncthreads_count(walk.open > 0.f)) break;
    if (threadIdx.x < kBlendBackwardBatch && first + threadIdx.x < range.end) {
      const SplatRecord* listed = args.state.records + args.state.listed[first + threadIdx.x];
      const float4* record = reinterpret_cast<const float4*>(listed);
      places[threadIdx.x] = record[0], shapes[threadIdx.x] = record[1], colours[threadIdx.x] = record[2];
      slots[threadIdx.x] = args.state.slot_of[first + threadIdx.x];
    }
    __syncthreads();
    const int count = range.end - first < kBlendBackwardBatch ? int(range.end - first) : kBlendBackwardBatch;
    for (int chunk = 0; chunk < kChunks; chunk++) {
      unsigned hit = 0;
      if (__any_sync(kAllLanes, walk.open > 0.f)) {
        bool touched = false;
        if (chunk * 32 + lane < count) {
          A3D_COUNT(2);
          touched = reaches(places[chunk * 32 + lane], shapes[chunk * 32 + lane], float(pixel.left) + 0.5f,
                            float(pixel.top) + 0.5f, float(kWarpWide), float(kWarpHigh));
        }
        for (unsigned left = __ballot_sync(kAllLanes, touched); left; left &= left - 1) {
          const int i = chunk * 32 + __ffs(left) - 1;
          float terms[columns];
          A3D_COUNT(0);
          const bool counts = step<with_depth>(walk, places[i], shapes[i], colours[i], x, y, terms);
          if (!__any_sync(kAllLanes, counts)) continue;
          A3D_COUNT(1);
          const float sum = sum_columns(terms);
          if (column >= 0) sums[(warp * kBlendBackwardBatch + i) * columns + column] = sum;
          hit |= left & -left;
        }
      }
      if (lane == 0) hits[warp * kChunks + chunk] = hit;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < count * columns; k += kBlendThreads) {
      const int splat = k / columns;
      float total = 0.f;
      for (int w = 0; w < kWarps; w++) {
        const uint32_t hit = hits[w * kChunks + splat / 32];
        if (hit >> (splat % 32) & 1) total += sums[w * kBlendBackwardBatch * columns + k];
      }
      args.slots[int64_t(slots[splat]) * columns + k % columns] = total;
    }
  }
  // What no open pixel saw.
  for (int64_t k = int64_t(first) * columns + threadIdx.x; k < int64_t(range.end) * columns; k += kBlendThreads)
    args.slots[int64_t(args.state.slot_of[k / columns]) * columns + k % columns] = 0.f;
}
}  // namespace

// Events: 0 turns of the loop over splats, by pixel; 1 of these, those with a reduction; 2 tests of a splat against a
// warp's pixels. 22 kB of shared memory; four blocks on a multiprocessor bound the registers to 64.
A3D_KERNEL(a3d_splat_blend_backward, SplatBackward, kBlendThreads, 4) { blend_backward<false>(args); }

// The same with a cotangent of depth. 24 kB.
A3D_KERNEL(a3d_splat_blend_backward_depth, SplatBackward, kBlendThreads, 4) { blend_backward<true>(args); }

}  // namespace a3d::gpu
