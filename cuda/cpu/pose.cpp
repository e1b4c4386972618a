// Loops of the splat poser: kLanes splats at a time, their rows of 3 and 4 floats turned to columns. The blendshapes
// are the memory traffic (40 MB at n = 50,000, k = 20): one pass over them for all poses of a group.
#include "cpu/pose.h"

#include <string.h>

#include "cpu/pose_chunk.h"
#include "cpu/simd.h"

namespace a3d::A3D_ISA {
namespace {

// out[p][i] = start[i] + sum over k of weights[p][k] basis[k][i], for a group's poses. Two vectors of every pose stay
// in registers over all k.
template <int poses>
void blend(const float* start, const float* basis, int64_t stride, int64_t k_count, const float* weights,
           int64_t count, float* out) {
  int64_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    F sums[poses][2];
    for (int p = 0; p < poses; p++) sums[p][0] = load(start + i), sums[p][1] = load(start + i + kLanes);
    for (int64_t k = 0; k < k_count; k++) {
      const F a = load(basis + k * stride + i), b = load(basis + k * stride + i + kLanes);
      for (int p = 0; p < poses; p++) {
        const F w = splat(weights[p * k_count + k]);
        sums[p][0] += w * a, sums[p][1] += w * b;
      }
    }
    for (int p = 0; p < poses; p++)
      store(out + p * kRow + i, sums[p][0]), store(out + p * kRow + i + kLanes, sums[p][1]);
  }
  for (; i < count; i++)
    for (int p = 0; p < poses; p++) {
      float sum = start[i];
      for (int64_t k = 0; k < k_count; k++) sum += weights[p * k_count + k] * basis[k * stride + i];
      out[p * kRow + i] = sum;
    }
}

// Means, quats and colours of a chunk with their blendshapes.
template <int poses>
void blend_all(const PoseSplats& s, const float* start, int64_t begin, int64_t count, const float* weights,
               float* out) {
  blend<poses>(start, s.basis_means + 3 * begin, 3 * s.n, s.k, weights, 3 * count, out);
  blend<poses>(start + kQuats, s.basis_quats + 4 * begin, 4 * s.n, s.k, weights, 4 * count, out + kQuats);
  blend<poses>(start + kColours, s.basis_colours + 3 * begin, 3 * s.n, s.k, weights, 3 * count, out + kColours);
}

}  // namespace

void pose_frames(const float* vertices, const int32_t* faces, int64_t begin, int64_t end, PoseFrame* frames) {
  constexpr int kFloats = sizeof(PoseFrame) / sizeof(float);
  for (int64_t first = begin; first < end; first += kLanes) {
    const int lanes = end - first < kLanes ? int(end - first) : kLanes;
    Frame<F> frame;
    for (int i = 0; i < 3; i++) {
      I index;
      for (int j = 0; j < kLanes; j++) index[j] = 3 * faces[3 * (first + (j < lanes ? j : 0)) + i];
      for (int c = 0; c < 3; c++) frame.corner[i][c] = gather(vertices + c, index);
    }
    make_frame(frame);
    alignas(64) float columns[kFloats][kLanes];
    for (int k = 0; k < kFloats; k++) store(columns[k], (&frame.axis[0][0])[k]);
    for (int j = 0; j < lanes; j++) {
      float* out = &frames[first + j].axis[0][0];
      for (int k = 0; k < kFloats; k++) out[k] = columns[k][j];
    }
  }
}

// Splats of a chunk before the blendshapes: means, unit quaternions, colours.
static void start_of(const PoseSplats& s, int64_t begin, int64_t count, float* out) {
  memcpy(out, s.means + 3 * begin, 3 * count * sizeof(float));
  memcpy(out + kColours, s.colours + 3 * begin, 3 * count * sizeof(float));
  for (int64_t i = 0; i < count; i += kLanes) {
    const int lanes = count - i < kLanes ? int(count - i) : kLanes;
    F q[4];
    load_rows<4>(s.quats + 4 * (begin + i), q, lanes);
    const F own = 1.f / sqrt(dot4(q, q));
    for (int c = 0; c < 4; c++) q[c] *= own;
    store_rows<4>(out + kQuats + 4 * i, q, lanes);
  }
}

void pose_forward(const PoseSplats& s, const PoseWorld& world, int64_t chunk) {
  const int64_t begin = chunk * kPoseChunk;
  const int64_t count = s.n - begin < kPoseChunk ? s.n - begin : kPoseChunk;
  alignas(64) float start[kRow], blended[kPoseGroup * kRow];
  start_of(s, begin, count, start);
  for (int64_t first = 0; first < s.b; first += kPoseGroup) {
    const int64_t poses = s.b - first < kPoseGroup ? s.b - first : kPoseGroup;
    if (s.k > 0) {
      constexpr auto none = nullptr;
      void (*const all[])(const PoseSplats&, const float*, int64_t, int64_t, const float*, float*) = {
          none, blend_all<1>, blend_all<2>, blend_all<3>, blend_all<4>};
      static_assert(kPoseGroup == 4, "one function for each number of poses");
      all[poses](s, start, begin, count, s.weights + first * s.k, blended);
    }
    for (int64_t p = 0; p < poses; p++) {
      const float* now = s.k > 0 ? blended + p * kRow : start;
      const PoseFrame* frames = s.frames + (first + p) * s.f;
      const int64_t to = (first + p) * s.n + begin;
      memcpy(world.colours + 3 * to, now + kColours, 3 * count * sizeof(float));
      for (int64_t i = 0; i < count; i += kLanes) {
        const int lanes = count - i < kLanes ? int(count - i) : kLanes;
        const int64_t row = begin + i;
        const Frame<F> frame = frames_of(frames, s.face + row, lanes);
        F m[3], q[4], bary[3], sizes[3];
        load_rows<3>(now + 3 * i, m, lanes), load_rows<4>(now + kQuats + 4 * i, q, lanes);
        load_rows<3>(s.bary + 3 * row, bary, lanes), load_rows<3>(s.log_scales + 3 * row, sizes, lanes);
        const F inverse_length = pose_splat(frame, bary, m, q, sizes);
        store_rows<3>(world.means + 3 * (to + i), m, lanes);
        store_rows<4>(world.quats + 4 * (to + i), q, lanes);
        store_rows<3>(world.log_scales + 3 * (to + i), sizes, lanes);
        if (world.inverse_length) store(world.inverse_length + to + i, inverse_length, lanes);
      }
    }
  }
}

}  // namespace a3d::A3D_ISA
