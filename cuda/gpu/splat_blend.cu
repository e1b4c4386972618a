// Front-to-back blending: colour, transmittance and depth. A block for each tile of each view, a thread for each pixel.
//
// Splats come in batches of 256 through shared memory. A warp tests 32 of them at a time against its 8 x 4 pixels, one
// by each lane, and then blends only those that touch it: with small splats this skips most of what a tile lists.
#include "gpu/splat_device.h"

namespace a3d::gpu {

// Events: 0 turns of the loop over splats, by pixel; 1 of these, those whose alpha counts; 2 tests of a splat against a
// warp's pixels. 12 kB of shared memory: eight blocks fit on a multiprocessor of 100 kB.
A3D_KERNEL(a3d_splat_blend, SplatForward, kBlendThreads, 4) {
  A3D_SHARED(float4, places, kBlendBatch);
  A3D_SHARED(float4, shapes, kBlendBatch);
  A3D_SHARED(float4, colours, kBlendBatch);
  const SplatScene& scene = args.scene;
  const Range range = args.state.tiles[int64_t(blockIdx.y) * scene.tiles_x * scene.tiles_y + blockIdx.x];
  const TilePixel pixel = tile_pixel(scene);
  const int lane = threadIdx.x & 31;
  const float x = float(pixel.x) + 0.5f, y = float(pixel.y) + 0.5f;
  float open = pixel.inside ? 1.f : 0.f;  // transmittance, 0 once the pixel is done
  float closed = 0.f;                     // transmittance of a pixel that is done
  float red = 0.f, green = 0.f, blue = 0.f, depth = 0.f;

  for (uint32_t first = range.begin; first < range.end; first += kBlendBatch) {
    // All threads are past the batch before when they know whether a pixel is open.
    if (!__syncthreads_count(open > 0.f)) break;
    if (first + threadIdx.x < range.end) {
      const SplatRecord* listed = args.state.records + args.state.listed[first + threadIdx.x];
      const float4* record = reinterpret_cast<const float4*>(listed);
      places[threadIdx.x] = record[0], shapes[threadIdx.x] = record[1], colours[threadIdx.x] = record[2];
    }
    __syncthreads();
    const int count = range.end - first < kBlendBatch ? int(range.end - first) : kBlendBatch;
    for (int chunk = 0; chunk < count; chunk += 32) {
      if (!__any_sync(kAllLanes, open > 0.f)) break;
      bool touched = false;
      if (chunk + lane < count) {
        A3D_COUNT(2);
        touched = reaches(places[chunk + lane], shapes[chunk + lane], float(pixel.left) + 0.5f, float(pixel.top) + 0.5f,
                          float(kWarpWide), float(kWarpHigh));
      }
      for (unsigned left = __ballot_sync(kAllLanes, touched); left; left &= left - 1) {
        const int i = chunk + __ffs(left) - 1;
        const float4 place = places[i], shape = shapes[i];
        A3D_COUNT(0);
        const float e = exponent(place, shape, x - place.x, y - place.y);
        if (e < kLog2AlphaMin || open == 0.f) continue;
        A3D_COUNT(1);
        const float alpha = min(exp2(e), kAlphaMax), after = minus_product(open, alpha, open);
        if (after <= kTransmittanceMin) {
          closed = open, open = 0.f;
          continue;
        }
        const float4 colour = colours[i];
        const float weight = alpha * open;
        red += weight * colour.x, green += weight * colour.y, blue += weight * colour.z, depth += weight * colour.w;
        open = after;
      }
    }
  }
  if (!pixel.inside) return;
  const float transmittance = open + closed;
  const float* background = scene.background + 3 * blockIdx.y;
  args.rgb[3 * pixel.index] = red + transmittance * background[0];
  args.rgb[3 * pixel.index + 1] = green + transmittance * background[1];
  args.rgb[3 * pixel.index + 2] = blue + transmittance * background[2];
  args.alpha[pixel.index] = 1.f - transmittance, args.depth[pixel.index] = depth;
}

}  // namespace a3d::gpu
