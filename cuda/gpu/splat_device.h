// What the splat kernels share on the device.
#pragma once
#include "gpu/kernel.h"
#include "gpu/splat.h"
#include "math/splat.h"

namespace a3d::gpu {

constexpr unsigned kAllLanes = 0xffffffffu;

// Rounded each by itself: a compiler that is free to fuse them might give two kernels two answers.
__device__ __forceinline__ float product(float a, float b) {
#if defined(__CUDA_ARCH__)
  return __fmul_rn(a, b);
#else
  return a * b;
#endif
}

__device__ __forceinline__ View view_of(const SplatScene& scene, int view) {
  const int64_t camera = scene.many_cameras ? view : 0;
  return camera_view(scene.w2c + 16 * camera, scene.intrinsics + 9 * camera, float(scene.width), float(scene.height));
}

__device__ __forceinline__ int64_t row_of(const SplatScene& scene, int view, int64_t splat) {
  return (scene.many_poses ? view : 0) * scene.splats + splat;
}

// Whether the ellipse alpha >= 1/255 reaches a pixel centre of the rectangle of wide x high pixels whose first centre
// is at (left, top): the nearest point of a rectangle under the ellipse's metric lies on the edge towards the centre
// (Radl et al., "StopThePop", 2024). Written with one rounding each, so that counting and listing tiles agree.
__device__ __forceinline__ bool reaches(const float4 place, const float4 shape, float left, float top, float wide,
                                        float high) {
  const float a = place.z, b = place.w, c = shape.x;
  left -= place.x, top -= place.y;
  const float right = left + (wide - 1.f), bottom = top + (high - 1.f);
  const float px = min(right, max(left, 0.f)), py = min(bottom, max(top, 0.f));
  const float ny = min(bottom, max(top, product(shape.w, px))), nx = min(right, max(left, product(shape.z, py)));
  const float q = min(fmaf(fmaf(a, px, product(b, ny)), px, product(product(c, ny), ny)),
                      fmaf(fmaf(a, nx, product(b, py)), nx, product(product(c, py), py)));
  return q <= fmaf(shape.y - kLog2AlphaMin, 1.00001f, 1e-5f);  // rounding must not lose a pixel
}

// log2 of the splat's alpha at an offset from its centre, before clamping: the same bits in both directions.
__device__ __forceinline__ float exponent(const float4 place, const float4 shape, float dx, float dy) {
  const float across = fmaf(place.z, dx, product(place.w, dy));
  return fmaf(-across, dx, fmaf(-product(shape.x, dy), dy, shape.y));
}

// One pixel of a tile for each thread; a warp has 8 x 4 neighbours, so that it can skip a splat that touches none.
constexpr int kWarpWide = 8, kWarpHigh = 4;
struct TilePixel {
  int x, y;           // in the image
  int left, top;      // of the warp's pixels
  bool inside;
  int64_t index;      // views x height x width
};
__device__ __forceinline__ TilePixel tile_pixel(const SplatScene& scene) {
  const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  const int tile_x = blockIdx.x % scene.tiles_x, tile_y = blockIdx.x / scene.tiles_x;
  TilePixel p;
  p.left = tile_x * kTile + (warp & 1) * kWarpWide, p.top = tile_y * kTile + (warp >> 1) * kWarpHigh;
  p.x = p.left + (lane & 7), p.y = p.top + (lane >> 3);
  p.inside = p.x < scene.width && p.y < scene.height;
  p.index = (int64_t(blockIdx.y) * scene.height + p.y) * scene.width + p.x;
  return p;
}

}  // namespace a3d::gpu
