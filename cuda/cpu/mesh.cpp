// Loops of the mesh rasterizer.
#include <cmath>
#include <cstdint>

#include "cpu/mesh.h"

namespace a3d::A3D_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kMeshLanes = 8;
#elif defined(__AVX__)
constexpr int kMeshLanes = 4;
#else
constexpr int kMeshLanes = 2;
#endif
typedef double Lanes __attribute__((vector_size(kMeshLanes * sizeof(double))));
typedef int64_t Ids __attribute__((vector_size(kMeshLanes * sizeof(int64_t))));

// The first column of a lane group, at pixel centres.
inline Lanes centres(double x) {
  Lanes out;
  for (int i = 0; i < kMeshLanes; i++) out[i] = x + 0.5 + i;
  return out;
}

// The smallest and largest pixel coordinates of the part of a triangle in front of the near plane.
struct Box {
  double x0 = 1e30, y0 = 1e30, x1 = -1e30, y1 = -1e30;
  void add(double x, double y) {
    x0 = x < x0 ? x : x0;
    x1 = x > x1 ? x : x1;
    y0 = y < y0 ? y : y0;
    y1 = y > y1 ? y : y1;
  }
};

inline double largest(double a, double b, double c) {
  a = std::fabs(a);
  b = std::fabs(b);
  c = std::fabs(c);
  a = a > b ? a : b;
  return a > c ? a : c;
}

inline int32_t clamp_pixel(double x, double low, double high) {
  return static_cast<int32_t>(x < low ? low : x > high ? high : x);
}

}  // namespace

void mesh_project(const MeshView& view, int64_t begin, int64_t end) {
  const float* w = view.w2c;
  const float* k = view.K;
  double p[3][4];
  for (int row = 0; row < 3; row++)
    for (int col = 0; col < 4; col++)
      p[row][col] =
          double(k[3 * row]) * w[col] + double(k[3 * row + 1]) * w[4 + col] + double(k[3 * row + 2]) * w[8 + col];
  for (int64_t i = begin; i < end; i++) {
    const double x = view.vertices[3 * i], y = view.vertices[3 * i + 1], z = view.vertices[3 * i + 2];
    view.projected[i] = {p[0][0] * x + p[0][1] * y + p[0][2] * z + p[0][3],
                         p[1][0] * x + p[1][1] * y + p[1][2] * z + p[1][3],
                         p[2][0] * x + p[2][1] * y + p[2][2] * z + p[2][3]};
  }
}

void mesh_setup(const MeshView& view, int64_t begin, int64_t end) {
  constexpr double kLeastPositive = 2.2250738585072014e-308;
  constexpr double kNoise = 1e-13;  // hundreds of units in the last place of the products in a determinant
  const double near_z = view.near_z;
  for (int64_t f = begin; f < end; f++) {
    MeshFace& record = view.records[f];
    record.x0 = record.y0 = 0;
    record.x1 = record.y1 = -1;
    const int32_t* corner = view.faces + 3 * f;
    const MeshVertex* p[3] = {view.projected + corner[0], view.projected + corner[1], view.projected + corner[2]};

    Box box;
    for (int i = 0; i < 3; i++) {
      const MeshVertex &a = *p[i], &b = *p[(i + 1) % 3];
      if (a.z >= near_z) box.add(a.x / a.z, a.y / a.z);
      if ((a.z >= near_z) != (b.z >= near_z)) {
        const double t = (near_z - a.z) / (b.z - a.z);
        box.add((a.x + t * (b.x - a.x)) / near_z, (a.y + t * (b.y - a.y)) / near_z);
      }
    }
    // Each edge is computed from its lower vertex id to its higher one, so that the two faces that share it get
    // the same bits up to the sign, whatever the compiler contracts: no gaps and no doubly owned pixels along it.
    for (int i = 0; i < 3; i++) {
      int from = (i + 1) % 3, to = (i + 2) % 3;
      const bool swap = corner[from] > corner[to];
      if (swap) { const int t = from; from = to; to = t; }
      const MeshVertex &a = *p[from], &b = *p[to];
      const double sign = swap ? -1.0 : 1.0;
      record.a[i] = sign * (a.y * b.z - a.z * b.y);
      record.b[i] = sign * (a.z * b.x - a.x * b.z);
      record.c[i] = sign * (a.x * b.y - a.y * b.x);
      record.least[i] = swap ? 0.0 : kLeastPositive;
    }
    const double det = record.a[0] * p[0]->x + record.b[0] * p[0]->y + record.c[0] * p[0]->z;
    const double size = std::fabs(det);
    // Faces without area have a determinant of rounding noise, and edges of noise too: they must not win pixels.
    // `!(... > ...)` also drops NaN. A head's faces wind counter-clockwise seen from outside: det < 0 is the front.
    const double noise = kNoise * largest(p[0]->x, p[1]->x, p[2]->x) * largest(p[0]->y, p[1]->y, p[2]->y) *
                         largest(p[0]->z, p[1]->z, p[2]->z);
    if (!(size > noise) || !(size < 1e300) || (view.cull && det > 0)) continue;
    if (det < 0) {
      for (int i = 0; i < 3; i++) {
        record.a[i] = -record.a[i];
        record.b[i] = -record.b[i];
        record.c[i] = -record.c[i];
        record.least[i] = record.least[i] == 0.0 ? kLeastPositive : 0.0;
      }
    }
    record.inverse_det = 1.0 / size;
    constexpr double kSlack = 1e-6;  // the box may be generous: the edge functions decide
    const double w = double(view.width), h = double(view.height);
    if (!(box.x1 >= 0 && box.x0 <= w && box.y1 >= 0 && box.y0 <= h)) continue;
    record.x0 = clamp_pixel(std::ceil(box.x0 - 0.5 - kSlack), 0, w);
    record.x1 = clamp_pixel(std::floor(box.x1 - 0.5 + kSlack), -1, w - 1);
    record.y0 = clamp_pixel(std::ceil(box.y0 - 0.5 - kSlack), 0, h);
    record.y1 = clamp_pixel(std::floor(box.y1 - 0.5 + kSlack), -1, h - 1);
    if (record.y1 < record.y0) record.x1 = record.x0 - 1;
  }
}

void mesh_tile(const MeshView& view, int64_t tile) {
  constexpr int kWidth = kMeshTileWidth, kHeight = kMeshTileHeight;
  const int64_t tiles_x = (view.width + kWidth - 1) / kWidth;
  const int32_t left = int32_t(tile % tiles_x * kWidth), top = int32_t(tile / tiles_x * kHeight);
  const int32_t columns = int32_t(view.width - left < kWidth ? view.width - left : kWidth);
  const int32_t rows = int32_t(view.height - top < kHeight ? view.height - top : kHeight);

  alignas(64) double nearest[kHeight * kWidth];  // 1 / z
  alignas(64) int64_t owner[kHeight * kWidth];
  for (int i = 0; i < kHeight * kWidth; i++) {
    nearest[i] = 0;
    owner[i] = -1;
  }
  const double most_inverse = 1.0 / double(view.near_z);
  for (int64_t slot = view.tile_offsets[tile]; slot < view.tile_offsets[tile + 1]; slot++) {
    const int32_t id = view.tile_faces[slot];
    const MeshFace& face = view.records[id];
    const int x0 = (face.x0 > left ? face.x0 - left : 0) & ~(kMeshLanes - 1);
    const int x1 = face.x1 - left < kWidth - 1 ? face.x1 - left : kWidth - 1;
    const int y0 = face.y0 > top ? face.y0 - top : 0;
    const int y1 = face.y1 - top < rows - 1 ? face.y1 - top : rows - 1;
    const Ids ids = Ids{} + int64_t(id);
    for (int y = y0; y <= y1; y++) {
      const double yc = top + y + 0.5;
      const double r0 = face.b[0] * yc + face.c[0], r1 = face.b[1] * yc + face.c[1], r2 = face.b[2] * yc + face.c[2];
      for (int x = x0; x <= x1; x += kMeshLanes) {
        const Lanes xc = centres(left + x);
        const Lanes e0 = face.a[0] * xc + r0, e1 = face.a[1] * xc + r1, e2 = face.a[2] * xc + r2;
        const Lanes inverse_z = (e0 + e1 + e2) * face.inverse_det;
        Lanes& held = *reinterpret_cast<Lanes*>(nearest + y * kWidth + x);
        Ids& held_id = *reinterpret_cast<Ids*>(owner + y * kWidth + x);
        const Ids wins = (e0 >= face.least[0]) & (e1 >= face.least[1]) & (e2 >= face.least[2]) & (inverse_z > held) &
                         (inverse_z <= most_inverse);
        held = wins ? inverse_z : held;
        held_id = wins ? ids : held_id;
      }
    }
  }
  for (int y = 0; y < rows; y++) {
    const int64_t row = (top + y) * view.width + left;
    const double yc = top + y + 0.5;
    for (int x = 0; x < columns; x++) {
      const int64_t id = owner[y * kWidth + x];
      view.face[row + x] = int32_t(id);
      float* bary = view.bary + 3 * (row + x);
      if (id < 0) {
        bary[0] = bary[1] = bary[2] = 0;
        view.depth[row + x] = 0;
        continue;
      }
      const MeshFace& face = view.records[id];
      const double xc = left + x + 0.5;
      const double e0 = face.a[0] * xc + (face.b[0] * yc + face.c[0]);
      const double e1 = face.a[1] * xc + (face.b[1] * yc + face.c[1]);
      const double e2 = face.a[2] * xc + (face.b[2] * yc + face.c[2]);
      const double scale = 1.0 / (e0 + e1 + e2);
      bary[0] = float(e0 * scale);
      bary[1] = float(e1 * scale);
      bary[2] = float(e2 * scale);
      view.depth[row + x] = float(1.0 / nearest[y * kWidth + x]);
    }
  }
}

}  // namespace a3d::A3D_ISA
