// Entry points of the small network on the device.
#include "gpu/mlp.h"

#include "avatar3d_gpu.h"
#include "cpu/error.h"
#include "gpu/launch.h"

using namespace a3d;
using namespace a3d::gpu;

namespace {
// Reads the widths into `args`; returns 0, or fails with what is wrong.
int read_widths(const int64_t* widths, int64_t layers, MlpArgs& args) {
  if (layers < 1 || layers > kMlpLayers) return fail("%lld layers; 1 to %d", (long long)layers, kMlpLayers);
  args.layers = int32_t(layers);
  int64_t total = 0;
  for (int64_t l = 0; l <= layers; l++) {
    if (widths[l] < 1 || widths[l] > kMlpWidth)
      return fail("a width of %lld; 1 to %d", (long long)widths[l], kMlpWidth);
    args.widths[l] = int32_t(widths[l]);
    if (l > 0) total += (widths[l - 1] + 1) * widths[l];
    args.begins[l] = int32_t(total);
  }
  const uint32_t tiles = blocks_of(args.m, kMlpTile);
  args.blocks = int32_t(tiles < uint32_t(kMlpBlocks) ? tiles : uint32_t(kMlpBlocks));
  return 0;
}

int64_t held_floats(const MlpArgs& args) {
  return int64_t(args.blocks) * (args.layers - 1) * kMlpWidth * kMlpTile;
}
}  // namespace

extern "C" {

int32_t a3d_gpu_mlp_forward(const float* x, const float* parameters, const int64_t* widths, int64_t m, int64_t layers,
                            float* out, void* stream) {
  MlpArgs args = {};
  args.x = x, args.parameters = parameters, args.m = m, args.out = out;
  if (const int code = read_widths(widths, layers, args)) return code;
  return launch("a3d_mlp_forward", {blocks_of(m, kMlpTile)}, kMlpThreads, stream, args);
}

int32_t a3d_gpu_mlp_workspace(const int64_t* widths, int64_t m, int64_t layers, int64_t* floats) {
  MlpArgs args = {};
  args.m = m;
  if (const int code = read_widths(widths, layers, args)) return code;
  *floats = held_floats(args) + int64_t(args.blocks) * args.begins[layers];
  return 0;
}

int32_t a3d_gpu_mlp_backward(const float* x, const float* parameters, const int64_t* widths, int64_t m, int64_t layers,
                             const float* g_out, float* parts, float* g_x, float* g_parameters, void* stream) {
  MlpArgs args = {};
  args.x = x, args.parameters = parameters, args.m = m, args.g_out = g_out, args.g_x = g_x;
  args.g_parameters = g_parameters;
  if (const int code = read_widths(widths, layers, args)) return code;
  args.held = parts, args.parts = parts + held_floats(args);
  if (const int code = launch("a3d_mlp_backward", {uint32_t(args.blocks)}, kMlpThreads, stream, args)) return code;
  return launch("a3d_mlp_parameters", {blocks_of(args.begins[layers], kMlpThreads)}, kMlpThreads, stream, args);
}
}
