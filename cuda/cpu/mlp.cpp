// Loops of the small network. A block of samples passes through all layers while it lies in the first-level cache;
// backward computes the activations again, which costs a third of the arithmetic and saves writing and reading 512
// bytes a sample.
#include "cpu/mlp.h"

#include <string.h>

#include "cpu/simd.h"

namespace a3d::A3D_ISA {
namespace {

// Sums that stay in registers: rows x vectors, 24 of AVX-512's 32 registers, 12 of the 16 of others.
constexpr int kRows = 6, kVectors = kLanes == 16 ? 4 : 2;

// C = [C +] A B for a tile of C. A's element (row r, term k) is a[r * row + k * term].
struct Product {
  const float* a;
  int64_t row, term, terms;
  const float* b;  // terms rows
  int64_t b_row;
  float* c;
  int64_t c_row;
  const float* start;  // row r of C begins as start[r * start_row + ...]; null: as zero
  int64_t start_row;
  float low;  // elements of C are at least this
};
constexpr float kAnything = -__builtin_inff();

template <int rows, int vectors>
void tile(const Product& p, int64_t r0, int64_t column) {
  F sum[rows][vectors];
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++)
      sum[r][v] = p.start ? load(p.start + (r0 + r) * p.start_row + column + v * kLanes) : F{};
  const float *a = p.a + r0 * p.row, *b = p.b + column;
  for (int64_t k = 0; k < p.terms; k++, a += p.term, b += p.b_row) {
    F factor[vectors];
    for (int v = 0; v < vectors; v++) factor[v] = load(b + v * kLanes);
    for (int r = 0; r < rows; r++) {
      const F scale = splat(a[r * p.row]);
      for (int v = 0; v < vectors; v++) sum[r][v] += scale * factor[v];
    }
  }
  for (int r = 0; r < rows; r++)
    for (int v = 0; v < vectors; v++) store(p.c + (r0 + r) * p.c_row + column + v * kLanes, max(sum[r][v], splat(p.low)));
}

template <int vectors>
void column_of_tiles(const Product& p, int64_t rows, int64_t column) {
  static_assert(kRows == 6, "one case for each number of rows left");
  int64_t r = 0;
  if (vectors == 1)  // twice as many rows, or each would wait for its own sum
    for (; r + 2 * kRows <= rows; r += 2 * kRows) tile<2 * kRows, vectors>(p, r, column);
  for (; r + kRows <= rows; r += kRows) tile<kRows, vectors>(p, r, column);
  switch (rows - r) {
    case 1: return tile<1, vectors>(p, r, column);
    case 2: return tile<2, vectors>(p, r, column);
    case 3: return tile<3, vectors>(p, r, column);
    case 4: return tile<4, vectors>(p, r, column);
    case 5: return tile<5, vectors>(p, r, column);
  }
}

// All of C: `rows` x `columns`, the latter whole vectors.
void multiply(const Product& p, int64_t rows, int64_t columns) {
  int64_t column = 0;
  for (; column + kVectors * kLanes <= columns; column += kVectors * kLanes)
    column_of_tiles<kVectors>(p, rows, column);
  switch ((columns - column) / kLanes) {
    case 1: return column_of_tiles<1>(p, rows, column);
    case 2: return column_of_tiles<kVectors < 2 ? 1 : 2>(p, rows, column);
    case 3: return column_of_tiles<kVectors < 3 ? 1 : 3>(p, rows, column);
  }
}

// Rows of `from` floats to rows of `to`, cut or filled with zeros.
void copy_rows(const float* in, int64_t from, float* out, int64_t to, int64_t rows) {
  const int64_t kept = from < to ? from : to;
  for (int64_t r = 0; r < rows; r++) {
    memcpy(out + r * to, in + r * from, size_t(kept) * sizeof(float));
    for (int64_t i = kept; i < to; i++) out[r * to + i] = 0;
  }
}

// One layer for a block; `hidden`: with ReLU.
void apply(const MlpLayer& l, const float* in, float* out, bool hidden) {
  multiply({in, l.wide_in, 1, l.inputs, l.across, l.wide_out, out, l.wide_out, l.bias, 0, hidden ? 0.f : kAnything},
           kMlpBlock, l.wide_out);
}

// Odd cache lines: buffers a multiple of 4 kB apart would wait for each other's stores.
constexpr int64_t kBlockFloats = kMlpBlock * kMlpWidth + 5 * kMlpPad;
}  // namespace

void mlp_forward(const MlpJob& job, int64_t begin, int64_t end) {
  alignas(64) float held[2][kBlockFloats];
  for (int64_t first = begin; first < end; first += kMlpBlock) {
    const int64_t rows = end - first < kMlpBlock ? end - first : kMlpBlock;
    const MlpLayer &enter = job.layer[0], &leave = job.layer[job.layers - 1];
    if (rows < kMlpBlock) memset(held[0], 0, sizeof(held[0]));
    copy_rows(job.x + first * enter.inputs, enter.inputs, held[0], enter.wide_in, rows);
    for (int l = 0; l < job.layers; l++) apply(job.layer[l], held[l & 1], held[(l + 1) & 1], l + 1 < job.layers);
    copy_rows(held[job.layers & 1], leave.wide_out, job.out + first * leave.outputs, leave.outputs, rows);
  }
}

void mlp_backward(const MlpJob& job, int64_t begin, int64_t end) {
  alignas(64) float held[kMlpLayers][kBlockFloats];  // what each layer reads
  alignas(64) float slope[2][kBlockFloats];
  for (int64_t first = begin; first < end; first += kMlpBlock) {
    const int64_t rows = end - first < kMlpBlock ? end - first : kMlpBlock;
    const MlpLayer &enter = job.layer[0], &leave = job.layer[job.layers - 1];
    if (rows < kMlpBlock) memset(held[0], 0, sizeof(held[0])), memset(slope[0], 0, sizeof(slope[0]));
    copy_rows(job.x + first * enter.inputs, enter.inputs, held[0], enter.wide_in, rows);
    for (int l = 0; l + 1 < job.layers; l++) apply(job.layer[l], held[l], held[l + 1], true);
    copy_rows(job.g_out + first * leave.outputs, leave.outputs, slope[0], leave.wide_out, rows);
    int at = 0;
    for (int l = job.layers - 1; l >= 0; l--, at ^= 1) {
      const MlpLayer& layer = job.layer[l];
      const float* g = slope[at];
      multiply({g, 1, layer.wide_out, kMlpBlock, held[l], layer.wide_in, layer.g_matrix, layer.wide_in, layer.g_matrix,
                layer.wide_in, kAnything},
               layer.outputs, layer.wide_in);
      for (int64_t c = 0; c < layer.wide_out; c += kLanes) {
        F sum = load(layer.g_bias + c);
        for (int r = 0; r < kMlpBlock; r++) sum += load(g + r * layer.wide_out + c);
        store(layer.g_bias + c, sum);
      }
      if (l == 0 && !job.g_x) break;
      float* before = slope[at ^ 1];
      multiply({g, layer.wide_out, 1, layer.outputs, layer.along, layer.wide_in, before, layer.wide_in, nullptr, 0,
                kAnything},
               kMlpBlock, layer.wide_in);
      if (l == 0) copy_rows(before, layer.wide_in, job.g_x + first * layer.inputs, layer.inputs, rows);
      for (int64_t i = 0; l > 0 && i < kMlpBlock * layer.wide_in; i += kLanes)
        store(before + i, keep(load(held[l] + i) > 0.f, load(before + i)));
    }
  }
}

}  // namespace a3d::A3D_ISA
