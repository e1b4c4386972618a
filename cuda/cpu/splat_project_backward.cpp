// Sums each splat's slots and carries the gradient through the projection to the splat's and the camera's parameters.
#include "cpu/splat.h"
#include "cpu/splat_view.h"
#include "math/sh.h"

namespace a3d::A3D_ISA {
namespace {

typedef float Four __attribute__((vector_size(16), aligned(4)));

// Sums the slots of kLanes splats into columns, one vector for each of the kGradients quantities.
A3D_INLINE void sum_slots(const TileRect* rects, const SplatCotangents& c, int64_t base, int lanes,
                          F sums[kGradients]) {
  alignas(64) float columns[kGradients][kLanes] = {};
  for (int i = 0; i < lanes; i++) {
    const int64_t begin = base + rects[i].slot, count = rects[i].count();
    Four a = {}, b = {}, d = {};
    for (int64_t slot = begin; slot < begin + count; slot++) {
      if (!c.slot_used[slot]) continue;
      const float* g = c.slots + slot * kGradients;
      a += *(const Four*)g, b += *(const Four*)(g + 4), d += *(const Four*)(g + 8);
    }
    for (int k = 0; k < 4; k++) columns[k][i] = a[k], columns[4 + k][i] = b[k], columns[8 + k][i] = d[k];
  }
  for (int k = 0; k < kGradients; k++) sums[k] = load(columns[k]);
}

// Adds the colour's gradient to the coefficients and, through the viewing direction, to mean and camera.
template <int bases>
A3D_INLINE void colour_vjp(const SplatInputs& in, const View& view, int64_t row, I lane, const F mean[3], const F g[3],
                           I drawn, F sh[][3], F grad_mean[3], F grad_position[3]) {
  F d[3] = {F{}, F{}, F{}}, Y[bases], inverse = F{};
  if (bases > 1) inverse = view_direction(view, mean, d);
  sh_values<bases>(d[0], d[1], d[2], Y);
  F along[bases];
  for (int k = 0; k < bases; k++) {
    along[k] = F{};
    for (int channel = 0; channel < 3; channel++) {
      sh[k][channel] += keep(drawn, Y[k] * g[channel]);
      if (bases > 1) along[k] += g[channel] * gather(in.sh + 3 * bases * row + 3 * k + channel, lane * (3 * bases));
    }
  }
  if (bases > 1) {
    F gd[3];
    sh_direction_vjp<bases>(d[0], d[1], d[2], along, gd);
    const F radial = gd[0] * d[0] + gd[1] * d[1] + gd[2] * d[2];
    for (int j = 0; j < 3; j++) {
      const F gj = (gd[j] - radial * d[j]) * inverse;
      grad_mean[j] += gj, grad_position[j] -= gj;
    }
  }
}

// Writes the gradients of the coefficients, 3 * bases columns, to rows.
template <int bases>
A3D_INLINE void write_colours(float* out, const F* columns, int lanes) {
  if constexpr (bases == 1) return store_rows<3>(out, columns, lanes);
  for (int k = 0; k < 3 * bases; k++)
    for (int i = 0; i < lanes; i++) out[i * 3 * bases + k] = columns[k][i];
}

A3D_INLINE void write_camera(const View& view, const ViewGradient<F>& g, float* out) {
  float rotation[9], translation[3], position[3];
  for (int i = 0; i < 9; i++) rotation[i] = sum(g.rotation[i]);
  for (int i = 0; i < 3; i++) translation[i] = sum(g.translation[i]), position[i] = sum(g.position[i]);
  for (int i = 0; i < 3; i++) {
    for (int j = 0; j < 3; j++) out[4 * i + j] += rotation[3 * i + j] - view.translation[i] * position[j];
    out[4 * i + 3] += translation[i];
    for (int j = 0; j < 3; j++) out[4 * i + 3] -= view.rotation[3 * i + j] * position[j];  // position = -R' t
  }
  out[12] += sum(g.focal[0]), out[13] += sum(g.focal[1]), out[14] += sum(g.centre[0]), out[15] += sum(g.centre[1]);
}

template <int bases, bool with_camera>
void run(const SplatInputs& in, const SplatState& state, const SplatCotangents& c, const SplatGradients& out,
         int64_t first_view, int64_t views, int64_t begin, int64_t end) {
  const int64_t pose = in.pose(first_view), chunks = chunks_of(in.splats);
  for (int64_t i = begin; i < end; i += kLanes) {
    const int lanes = end - i < kLanes ? int(end - i) : kLanes;
    const I lane = lane_index(i, end);
    const LoadedSplat s = load_splat(in, pose, i, lanes);
    const int64_t row = pose * in.splats + i;
    const F opacity = 1.f / (1.f + exp(-s.logit));
    SplatGradient<F> total = {};
    F logit = F{}, sh[bases][3] = {};
    for (int64_t index = first_view; index < first_view + views; index++) {
      const TileRect* rects = state.rects + index * in.splats + i;
      F sums[kGradients];
      sum_slots(rects, c, c.slot_begin[index] + state.chunk_slots[index * chunks + begin / kChunk], lanes, sums);
      const View view = view_of(in, index);
      const Footprint<F> f = footprint(view, s.mean, s.quat, s.scale);
      const Projected<F> p = projected(view, f);
      const Conic<F> k = conic(p);
      // alpha = opacity exp(-(a dx^2 + 2 b dx dy + c dy^2) / 2) with d = pixel - centre, and sums of v = dL/d(ln
      // alpha).
      Projected<F> g;
      conic_vjp(k, Conic<F>{-0.5f * sums[kVxx], -sums[kVxy], -0.5f * sums[kVyy]}, g);
      g.x = k.a * sums[kVx] + k.b * sums[kVy], g.y = k.b * sums[kVx] + k.c * sums[kVy], g.z = sums[kDepth];
      ViewGradient<F> camera = {};
      SplatGradient<F> o = projection_vjp<with_camera>(view, f, s.mean, s.quat, s.inverse_norm, s.scale, g, camera);
      const F colour[3] = {sums[kRed], sums[kGreen], sums[kBlue]};
      // A splat that is not drawn may have a degenerate projection: its zeros must not become NaN.
      I drawn;
      for (int j = 0; j < kLanes; j++) drawn[j] = j < lanes && rects[j].wide ? -1 : 0;
      colour_vjp<bases>(in, view, row, lane, s.mean, colour, drawn, sh, o.mean, camera.position);
      for (int j = 0; j < 3; j++) total.mean[j] += keep(drawn, o.mean[j]), total.scale[j] += keep(drawn, o.scale[j]);
      for (int j = 0; j < 4; j++) total.quat[j] += keep(drawn, o.quat[j]);
      logit += sums[kV] * (1.f - opacity);
      if (with_camera) {
        F* all = camera.rotation;
        for (unsigned j = 0; j < sizeof(camera) / sizeof(F); j++) all[j] = keep(drawn, all[j]);
        write_camera(view, camera, out.cameras + (index * chunks + begin / kChunk) * kCameraGradients);
      }
    }
    for (int j = 0; j < 3; j++) total.scale[j] *= s.scale[j];  // to log_scales
    if (out.means) store_rows<3>(out.means + 3 * row, total.mean, lanes);
    if (out.quats) store_rows<4>(out.quats + 4 * row, total.quat, lanes);
    if (out.log_scales) store_rows<3>(out.log_scales + 3 * row, total.scale, lanes);
    if (out.logits) store(out.logits + row, logit, lanes);
    if (out.sh) write_colours<bases>(out.sh + 3 * bases * row, sh[0], lanes);
  }
}
}  // namespace

void project_splats_backward(const SplatInputs& in, const SplatState& state, const SplatCotangents& c,
                             const SplatGradients& out, int64_t first_view, int64_t views, int64_t begin, int64_t end) {
  const bool camera = out.cameras != nullptr;
  switch (in.bases) {
    case 1: return (camera ? run<1, true> : run<1, false>)(in, state, c, out, first_view, views, begin, end);
    case 4: return (camera ? run<4, true> : run<4, false>)(in, state, c, out, first_view, views, begin, end);
    case 9: return (camera ? run<9, true> : run<9, false>)(in, state, c, out, first_view, views, begin, end);
    default: return (camera ? run<16, true> : run<16, false>)(in, state, c, out, first_view, views, begin, end);
  }
}

}  // namespace a3d::A3D_ISA
