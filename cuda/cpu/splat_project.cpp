// Projects splats of one view into records, with the tiles that each may touch.
#include "cpu/splat.h"
#include "cpu/splat_view.h"
#include "math/sh.h"

namespace a3d::A3D_ISA {
namespace {

constexpr float kLog2E = 1.4426950408889634f, kLn2 = 0.69314718056f;

template <int bases>
A3D_INLINE void colours(const SplatInputs& in, const View& view, int64_t row, I lane, const F mean[3], F out[3]) {
  F Y[bases];
  F d[3] = {F{}, F{}, F{}};
  if (bases > 1) view_direction(view, mean, d);
  sh_values<bases>(d[0], d[1], d[2], Y);
  for (int c = 0; c < 3; c++) {
    out[c] = splat(0.5f);
    for (int k = 0; k < bases; k++) out[c] += Y[k] * gather(in.sh + 3 * bases * row + 3 * k + c, lane * (3 * bases));
  }
}

// Of degree 0: rows of three, one after the other.
A3D_INLINE void flat_colours(const float* sh, int lanes, F out[3]) {
  F unit[1];
  sh_values<1>(F{}, F{}, F{}, unit);
  load_rows<3>(sh, out, lanes);
  for (int c = 0; c < 3; c++) out[c] = 0.5f + unit[0] * out[c];
}

// First tile at or before `pixel`, within [0, tiles]; floats outside the range of int are not converted.
A3D_INLINE F tile_of(F pixel, int64_t tiles) { return max(min(pixel * (1.f / kTile), splat(float(tiles))), F{}); }

struct Columns {
  alignas(64) float v[12][kLanes];
  alignas(64) float x0[kLanes], y0[kLanes], x1[kLanes], y1[kLanes];
};

A3D_INLINE void write_splat(const Columns& columns, int i, bool drawn, SplatRecord& record, TileRect& rect,
                            uint32_t& key, ChunkSummary& summary) {
  float* fields = &record.x;
  for (int k = 0; k < 12; k++) fields[k] = columns.v[k][i];
  const uint16_t x = uint16_t(columns.x0[i]), y = uint16_t(columns.y0[i]);
  const uint16_t wide = drawn ? uint16_t(int(columns.x1[i]) + 1 - x) : 0;
  const uint16_t high = drawn ? uint16_t(int(columns.y1[i]) + 1 - y) : 0;
  const TileRect of_it = {x, y, wide, high, uint32_t(summary.slots)};
  record.rect = of_it, rect = of_it;
  uint32_t depth;  // of a positive float: sorts as an integer
  __builtin_memcpy(&depth, &record.z, 4);
  key = drawn ? depth : kHidden;
  summary.nearest = key < summary.nearest ? key : summary.nearest;
  summary.farthest = drawn && key > summary.farthest ? key : summary.farthest;
  summary.drawn += drawn, summary.slots += of_it.count();
}
}  // namespace

void project_splats(const SplatInputs& in, const SplatState& state, int64_t view_index, int64_t begin, int64_t end) {
  const View view = view_of(in, view_index);
  const int64_t pose = in.pose(view_index);
  const int64_t first = view_index * in.splats;
  ChunkSummary summary = {kHidden, 0, 0, 0};
  const float right = float(in.width), bottom = float(in.height);

  for (int64_t i = begin; i < end; i += kLanes) {
    const I lane = lane_index(i, end);
    const int lanes = end - i < kLanes ? int(end - i) : kLanes;
    const LoadedSplat s = load_splat(in, pose, i, lanes);
    const Projected<F> p = projected(view, footprint(view, s.mean, s.quat, s.scale));
    const Conic<F> k = conic(p);
    const F log2_opacity = -log2(1.f + exp(-s.logit));
    const int64_t row = pose * in.splats + i;
    F rgb[3];
    switch (in.bases) {
      case 1: flat_colours(in.sh + 3 * row, lanes, rgb); break;
      case 4: colours<4>(in, view, row, lane, s.mean, rgb); break;
      case 9: colours<9>(in, view, row, lane, s.mean, rgb); break;
      default: colours<16>(in, view, row, lane, s.mean, rgb); break;
    }
    // Half width of the ellipse alpha = 1/255: sqrt(2 ln(255 opacity) covariance).
    const F reach = max(log2_opacity - kLog2AlphaMin, F{}) * (2.f * kLn2);
    const F half_x = sqrt(reach * p.xx), half_y = sqrt(reach * p.yy);
    // A NaN or infinity anywhere makes this sum NaN or infinite, and the splat is not drawn.
    const F all_of_it = p.x + p.y + p.z + k.a + k.b + k.c + half_x + half_y + rgb[0] + rgb[1] + rgb[2] + log2_opacity;
    const I shown = (all_of_it - all_of_it == F{}) & (p.z > kNear) & (reach > 0.f) & (p.x + half_x > 0.f) &
                    (p.x - half_x < right) & (p.y + half_y > 0.f) & (p.y - half_y < bottom);

    Columns columns;
    const F fields[12] = {p.x, p.y, k.a * (0.5f * kLog2E), k.b * kLog2E, k.c * (0.5f * kLog2E), log2_opacity,
                          rgb[0], rgb[1], rgb[2], p.z, -k.b / k.a, -k.b / k.c};
    for (int f = 0; f < 12; f++) store(columns.v[f], fields[f]);
    store(columns.x0, keep(shown, tile_of(p.x - half_x, state.tiles_x - 1)));
    store(columns.x1, keep(shown, tile_of(p.x + half_x, state.tiles_x - 1)));
    store(columns.y0, keep(shown, tile_of(p.y - half_y, state.tiles_y - 1)));
    store(columns.y1, keep(shown, tile_of(p.y + half_y, state.tiles_y - 1)));
    const unsigned drawn = bits(shown);
    for (int j = 0; j < lanes; j++)
      write_splat(columns, j, drawn >> j & 1, state.records[first + i + j], state.rects[first + i + j],
                  state.keys[first + i + j], summary);
  }
  state.chunks[view_index * chunks_of(in.splats) + begin / kChunk] = summary;
}

}  // namespace a3d::A3D_ISA
