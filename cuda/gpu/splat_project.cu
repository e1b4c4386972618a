// Projects every splat of every view into a record, with the tiles that it may touch and its depth as a sortable key.
#include "gpu/splat_device.h"
#include "math/sh.h"

namespace a3d::gpu {
namespace {

constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.69314718056f;

// First tile at or before `pixel`, within [0, last]; floats outside the range of int are not converted.
__device__ __forceinline__ uint16_t tile_of(float pixel, int last) {
  return uint16_t(max(min(pixel * (1.f / kTile), float(last)), 0.f));
}

template <int bases>
__device__ __forceinline__ void colour_of(const float* sh, const View& view, const float mean[3], float rgb[3]) {
  float Y[bases], d[3] = {0.f, 0.f, 0.f};
  if constexpr (bases > 1) view_direction(view, mean, d);
  sh_values<bases>(d[0], d[1], d[2], Y);
#pragma unroll
  for (int c = 0; c < 3; c++) rgb[c] = 0.5f;
#pragma unroll
  for (int k = 0; k < bases; k++)
#pragma unroll
    for (int c = 0; c < 3; c++) rgb[c] += Y[k] * sh[3 * k + c];
}

// One thread for each splat of a view (blockIdx.y); no shared memory.
template <int bases>
__device__ __forceinline__ void project(const SplatForward& args) {
  const SplatScene& scene = args.scene;
  const int64_t splat = int64_t(blockIdx.x) * kProjectThreads + threadIdx.x;
  if (splat >= scene.splats) return;
  const int64_t row = row_of(scene, blockIdx.y, splat), number = blockIdx.y * scene.splats + splat;
  const View view = view_of(scene, blockIdx.y);
  float mean[3], scale[3], quat[4], rgb[3];
#pragma unroll
  for (int j = 0; j < 3; j++) mean[j] = scene.means[3 * row + j], scale[j] = exp(scene.log_scales[3 * row + j]);
#pragma unroll
  for (int j = 0; j < 4; j++) quat[j] = scene.quats[4 * row + j];
  normalise(quat);
  const Projected<float> p = projected(view, footprint(view, mean, quat, scale));
  const Conic<float> k = conic(p);
  const float log2_opacity = -log2(1.f + exp(-scene.logits[row]));
  colour_of<bases>(scene.sh + 3 * bases * row, view, mean, rgb);

  // Half width of the ellipse alpha = 1/255: sqrt(2 ln(255 opacity) covariance).
  const float reach = max(log2_opacity - kLog2AlphaMin, 0.f) * (2.f * kLn2);
  const float half_x = sqrt(reach * p.xx), half_y = sqrt(reach * p.yy);
  // A NaN or infinity anywhere makes this sum NaN or infinite, and the splat is not drawn.
  const float all_of_it = p.x + p.y + p.z + k.a + k.b + k.c + half_x + half_y + rgb[0] + rgb[1] + rgb[2] + log2_opacity;
  const bool shown = all_of_it - all_of_it == 0.f && p.z > kNear && reach > 0.f && p.x + half_x > 0.f &&
                     p.x - half_x < float(scene.width) && p.y + half_y > 0.f && p.y - half_y < float(scene.height);
  TileRect rect = {0, 0, 0, 0};
  if (shown) {
    rect.x = tile_of(p.x - half_x, scene.tiles_x - 1), rect.y = tile_of(p.y - half_y, scene.tiles_y - 1);
    rect.wide = uint16_t(tile_of(p.x + half_x, scene.tiles_x - 1) + 1 - rect.x);
    rect.high = uint16_t(tile_of(p.y + half_y, scene.tiles_y - 1) + 1 - rect.y);
    SplatRecord r;
    r.x = p.x, r.y = p.y, r.a = k.a * (0.5f * kLog2E), r.b = k.b * kLog2E, r.c = k.c * (0.5f * kLog2E);
    r.log2_opacity = log2_opacity, r.slope_x = -k.b / k.a, r.slope_y = -k.b / k.c;
    r.red = rgb[0], r.green = rgb[1], r.blue = rgb[2], r.z = p.z;
    args.state.records[number] = r;
  }
  args.state.rects[number] = rect;
  args.state.keys[0][number] = shown ? __float_as_uint(p.z) : kHidden;  // a positive float sorts as an integer
  args.state.order[0][number] = uint32_t(number);
}
}  // namespace

#define A3D_PROJECT(bases) \
  A3D_KERNEL(a3d_splat_project_##bases, SplatForward, kProjectThreads) { project<bases>(args); }
A3D_PROJECT(1)
A3D_PROJECT(4)
A3D_PROJECT(9)
A3D_PROJECT(16)

}  // namespace a3d::gpu
