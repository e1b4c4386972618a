// Carries the gradients of splats in the image through the projection to the splats' and the cameras' parameters.
#include "gpu/reduce.h"
#include "gpu/splat_device.h"
#include "math/sh.h"

namespace a3d::gpu {
namespace {

constexpr int kWarps = kProjectThreads / 32;

// Gradient of one splat over the views that share it.
template <int bases>
struct Total {
  SplatGradient<float> splat;  // its scale: of the logarithms
  float logit, sh[bases][3];
};

// Adds the colour's gradient to the coefficients and, through the viewing direction, to mean and camera.
template <int bases>
__device__ __forceinline__ void colour_vjp(const float* sh, const View& view, const float mean[3], const float g[3],
                                           Total<bases>& total, float grad_mean[3], float grad_position[3]) {
  float d[3] = {0.f, 0.f, 0.f}, Y[bases], along[bases];
  float inverse = 0.f;
  if constexpr (bases > 1) inverse = view_direction(view, mean, d);
  sh_values<bases>(d[0], d[1], d[2], Y);
#pragma unroll
  for (int k = 0; k < bases; k++) {
    along[k] = 0.f;
#pragma unroll
    for (int c = 0; c < 3; c++) {
      total.sh[k][c] += Y[k] * g[c];
      if (bases > 1) along[k] += g[c] * sh[3 * k + c];
    }
  }
  if constexpr (bases > 1) {
    float gd[3];
    sh_direction_vjp<bases>(d[0], d[1], d[2], along, gd);
    const float radial = gd[0] * d[0] + gd[1] * d[1] + gd[2] * d[2];
#pragma unroll
    for (int j = 0; j < 3; j++) {
      const float gj = (gd[j] - radial * d[j]) * inverse;
      grad_mean[j] += gj, grad_position[j] -= gj;
    }
  }
}

// Rows of w2c, then fx, fy, cx, cy, from the gradients of what `camera_view` makes of them.
__device__ __forceinline__ void camera_row(const View& view, const ViewGradient<float>& g,
                                           float out[kCameraGradients]) {
#pragma unroll
  for (int i = 0; i < 3; i++) {
    out[4 * i + 3] = g.translation[i];
#pragma unroll
    for (int j = 0; j < 3; j++) {
      out[4 * i + j] = g.rotation[3 * i + j] - view.translation[i] * g.position[j];
      out[4 * i + 3] -= view.rotation[3 * i + j] * g.position[j];  // position = -R' t
    }
  }
  out[12] = g.focal[0], out[13] = g.focal[1], out[14] = g.centre[0], out[15] = g.centre[1];
}

// One view's share of a splat's gradient.
template <int bases, bool with_camera>
__device__ __forceinline__ void add_view(const SplatBackward& args, int view_index, int64_t splat, int64_t row,
                                         const float mean[3], const float quat[4], float inverse_norm,
                                         const float scale[3], float opacity, Total<bases>& total, float* camera_out) {
  const SplatScene& scene = args.scene;
  const int64_t number = view_index * scene.splats + splat;
  if (!args.state.rects[number].wide) return;  // not drawn: its projection may be degenerate
  float sums[kDepthColumns];
#pragma unroll
  for (int k = 0; k < kDepthColumns; k++) sums[k] = args.sums[number * kDepthColumns + k];
  const View view = view_of(scene, view_index);
  const Footprint<float> f = footprint(view, mean, quat, scale);
  const Projected<float> p = projected(view, f);
  const Conic<float> k = conic(p);
  // alpha = opacity exp(-(a dx^2 + 2 b dx dy + c dy^2) / 2) with d = pixel - centre, and sums of v = dL/d(ln alpha).
  Projected<float> g;
  conic_vjp(k, Conic<float>{-0.5f * sums[3], -sums[4], -0.5f * sums[5]}, g);
  g.x = k.a * sums[1] + k.b * sums[2], g.y = k.b * sums[1] + k.c * sums[2], g.z = sums[9];
  ViewGradient<float> camera = {};
  SplatGradient<float> o = projection_vjp<with_camera>(view, f, mean, quat, inverse_norm, scale, g, camera);
  colour_vjp<bases>(scene.sh + 3 * bases * row, view, mean, sums + 6, total, o.mean, camera.position);
#pragma unroll
  for (int j = 0; j < 3; j++) total.splat.mean[j] += o.mean[j], total.splat.scale[j] += o.scale[j] * scale[j];
#pragma unroll
  for (int j = 0; j < 4; j++) total.splat.quat[j] += o.quat[j];
  total.logit += sums[0] * (1.f - opacity);
  if constexpr (with_camera) camera_row(view, camera, camera_out);
}

template <int n>
__device__ __forceinline__ void store(float* out, int64_t row, const float* values) {
  if (!out) return;
#pragma unroll
  for (int j = 0; j < n; j++) out[n * row + j] = values[j];
}

// One thread for each splat; blockIdx.y counts poses. The views that share a pose follow one another in the thread.
// With cameras a block adds up its splats' shares: 256 bytes of shared memory.
template <int bases, bool with_camera>
__device__ __forceinline__ void project_backward(const SplatBackward& args) {
  A3D_SHARED(float, parts, kWarps * kCameraGradients);
  const SplatScene& scene = args.scene;
  const int64_t splat = int64_t(blockIdx.x) * kProjectThreads + threadIdx.x;
  const bool valid = splat < scene.splats;
  const int64_t row = row_of(scene, blockIdx.y, valid ? splat : 0);
  float mean[3], scale[3], quat[4];
#pragma unroll
  for (int j = 0; j < 3; j++) {
    mean[j] = valid ? scene.means[3 * row + j] : 0.f, scale[j] = valid ? exp(scene.log_scales[3 * row + j]) : 0.f;
  }
#pragma unroll
  for (int j = 0; j < 4; j++) quat[j] = valid ? scene.quats[4 * row + j] : 0.f;
  const float inverse_norm = normalise(quat), opacity = valid ? 1.f / (1.f + exp(-scene.logits[row])) : 0.f;
  Total<bases> total = {};
  const int first = scene.many_poses ? blockIdx.y : 0, end = scene.many_poses ? first + 1 : scene.views;
  for (int view = first; view < end; view++) {
    float camera[kCameraGradients] = {};
    if (valid)
      add_view<bases, with_camera>(args, view, splat, row, mean, quat, inverse_norm, scale, opacity, total, camera);
    if constexpr (with_camera) {
      const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, column = column_of<kCameraGradients>();
      const float sum = sum_columns(camera);
      if (column >= 0) parts[warp * kCameraGradients + column] = sum;
      __syncthreads();
      if (warp == 0 && lane < kCameraGradients) {
        float all = 0.f;
        for (int w = 0; w < kWarps; w++) all += parts[w * kCameraGradients + lane];
        args.camera_parts[(int64_t(view) * args.blocks + blockIdx.x) * kCameraGradients + lane] = all;
      }
      __syncthreads();
    }
  }
  if (!valid) return;
  store<3>(args.grad_means, row, total.splat.mean), store<4>(args.grad_quats, row, total.splat.quat);
  store<3>(args.grad_log_scales, row, total.splat.scale), store<1>(args.grad_logits, row, &total.logit);
  store<3 * bases>(args.grad_sh, row, total.sh[0]);
}
}  // namespace

#define A3D_PROJECT_BACKWARD(bases)                                                             \
  A3D_KERNEL(a3d_splat_project_backward_##bases, SplatBackward, kProjectThreads) {              \
    project_backward<bases, false>(args);                                                       \
  }                                                                                             \
  A3D_KERNEL(a3d_splat_project_backward_##bases##_camera, SplatBackward, kProjectThreads) {     \
    project_backward<bases, true>(args);                                                        \
  }
A3D_PROJECT_BACKWARD(1)
A3D_PROJECT_BACKWARD(4)
A3D_PROJECT_BACKWARD(9)
A3D_PROJECT_BACKWARD(16)

// Adds up the blocks' shares of a camera's gradient: a block of one warp for each of its 16 numbers (blockIdx.x) and
// each view; lanes take every 32nd share, then add up pairwise, so that rounding stays small.
A3D_KERNEL(a3d_splat_cameras, SplatBackward, 32) {
  float sum[1] = {0.f};
  for (int block = threadIdx.x; block < args.blocks; block += 32)
    sum[0] += args.camera_parts[(int64_t(blockIdx.y) * args.blocks + block) * kCameraGradients + blockIdx.x];
  const float total = sum_columns(sum);
  if (threadIdx.x == 0) args.grad_cameras[blockIdx.y * kCameraGradients + blockIdx.x] = total;
}

}  // namespace a3d::gpu
