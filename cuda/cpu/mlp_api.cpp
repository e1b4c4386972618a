// Entry points of the small network.
#include "cpu/mlp.h"

#include <cstring>
#include <vector>

#include "avatar3d.h"
#include "cpu/error.h"
#include "cpu/pool.h"

namespace {
using namespace a3d;

int64_t tasks_of(int64_t m) { return (m + kMlpChunk - 1) / kMlpChunk; }

// Checks the widths; returns the number of parameters, -1 after a failure.
int64_t parameters_of(const int64_t* widths, int64_t layers) {
  if (layers < 1 || layers > kMlpLayers) return fail("%lld layers; 1 to %d", (long long)layers, kMlpLayers), -1;
  int64_t total = 0;
  for (int64_t l = 0; l <= layers; l++) {
    if (widths[l] < 1 || widths[l] > kMlpWidth)
      return fail("a width of %lld; 1 to %d", (long long)widths[l], kMlpWidth), -1;
    if (l > 0) total += (widths[l - 1] + 1) * widths[l];
  }
  return total;
}

// The padded matrices of a job, and how many floats a task's gradients take.
struct Packed {
  std::vector<float> floats;
  int64_t gradient_floats = 0;
};

void pack(const int64_t* widths, const float* parameters, MlpJob& job, Packed& packed) {
  int64_t total = 0;
  for (int l = 0; l < job.layers; l++) {
    MlpLayer& layer = job.layer[l];
    layer.inputs = widths[l], layer.outputs = widths[l + 1];
    layer.wide_in = mlp_padded(layer.inputs), layer.wide_out = mlp_padded(layer.outputs);
    total += layer.inputs * layer.wide_out + layer.outputs * layer.wide_in + layer.wide_out;
    packed.gradient_floats += layer.outputs * layer.wide_in + layer.wide_out;
  }
  packed.floats.assign(size_t(total) + 16, 0.f);
  float* to = packed.floats.data();
  while (reinterpret_cast<uintptr_t>(to) % 64) to++;  // or every load of 16 floats would touch two cache lines
  for (int l = 0; l < job.layers; l++) {
    MlpLayer& layer = job.layer[l];
    float* across = to;
    float* along = across + layer.inputs * layer.wide_out;
    float* bias = along + layer.outputs * layer.wide_in;
    to = bias + layer.wide_out;
    for (int64_t o = 0; o < layer.outputs; o++)
      for (int64_t i = 0; i < layer.inputs; i++)
        across[i * layer.wide_out + o] = along[o * layer.wide_in + i] = *parameters++;
    std::memcpy(bias, parameters, size_t(layer.outputs) * sizeof(float));
    parameters += layer.outputs;
    layer.across = across, layer.along = along, layer.bias = bias;
  }
}
}  // namespace

extern "C" {

int32_t a3d_mlp_forward(const float* x, const float* parameters, const int64_t* widths, int64_t m, int64_t layers,
                        float* out, int32_t threads) {
  if (parameters_of(widths, layers) < 0) return 1;
  MlpJob job{x, m, int(layers), {}, out, nullptr, nullptr};
  Packed packed;
  pack(widths, parameters, job, packed);
  const auto loop = A3D_PICK(mlp_forward);
  Pool::run(tasks_of(m), threads, [&](int64_t task) {
    const int64_t begin = task * kMlpChunk;
    loop(job, begin, begin + kMlpChunk < m ? begin + kMlpChunk : m);
  });
  return 0;
}

int32_t a3d_mlp_workspace(const int64_t* widths, int64_t m, int64_t layers, int64_t* floats) {
  if (parameters_of(widths, layers) < 0) return 1;
  *floats = 0;
  for (int64_t l = 0; l < layers; l++)
    *floats += widths[l + 1] * mlp_padded(widths[l]) + mlp_padded(widths[l + 1]);
  *floats *= tasks_of(m);
  return 0;
}

int32_t a3d_mlp_backward(const float* x, const float* parameters, const int64_t* widths, int64_t m, int64_t layers,
                         const float* g_out, float* parts, float* g_x, float* g_parameters, int32_t threads) {
  if (parameters_of(widths, layers) < 0) return 1;
  MlpJob job{x, m, int(layers), {}, nullptr, g_out, g_x};
  Packed packed;
  pack(widths, parameters, job, packed);
  const auto loop = A3D_PICK(mlp_backward);
  Pool::run(tasks_of(m), threads, [&](int64_t task) {
    MlpJob own = job;
    float* to = parts + task * packed.gradient_floats;
    std::memset(to, 0, size_t(packed.gradient_floats) * sizeof(float));
    for (int l = 0; l < own.layers; l++) {
      own.layer[l].g_matrix = to, to += own.layer[l].outputs * own.layer[l].wide_in;
      own.layer[l].g_bias = to, to += own.layer[l].wide_out;
    }
    const int64_t begin = task * kMlpChunk;
    loop(own, begin, begin + kMlpChunk < m ? begin + kMlpChunk : m);
  });
  std::vector<double> sums(size_t(packed.gradient_floats), 0.0);  // tasks in order
  for (int64_t task = 0; task < tasks_of(m); task++)
    for (int64_t i = 0; i < packed.gradient_floats; i++) sums[i] += parts[task * packed.gradient_floats + i];
  int64_t at = 0;
  for (int l = 0; l < job.layers; l++) {
    const MlpLayer& layer = job.layer[l];
    for (int64_t o = 0; o < layer.outputs; o++)
      for (int64_t i = 0; i < layer.inputs; i++) *g_parameters++ = float(sums[at + o * layer.wide_in + i]);
    at += layer.outputs * layer.wide_in;
    for (int64_t o = 0; o < layer.outputs; o++) *g_parameters++ = float(sums[at + o]);
    at += layer.wide_out;
  }
  return 0;
}
}
