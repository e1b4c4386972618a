// Mesh rasterizer: what the entry points (mesh_api.cpp) and the loops (mesh.cpp, once per instruction set) share.
#pragma once
#include <stdint.h>

#include "cpu/isa.h"

namespace a3d {

constexpr int kMeshTileWidth = 64;  // a multiple of every vector width; 64 x 16 depths and ids fit the first-level cache
constexpr int kMeshTileHeight = 16;

struct MeshVertex {
  double x, y, z;  // homogeneous pixel coordinates: (x / z, y / z) is the pixel, z the depth
};

// Edge functions of a triangle over homogeneous pixels (Olano and Greer 1997): e_i(x, y) = a x + b y + c is
// proportional to the perspective-correct weight of corner i, and (e_0 + e_1 + e_2) * inverse_det is 1 / z. No clipping is needed.
struct MeshFace {
  double a[3], b[3], c[3];
  double least[3];  // a pixel is inside when e_i >= least_i: 0 if it owns the shared edge, else the least positive
  double inverse_det;
  int32_t x0, y0, x1, y1;  // inclusive pixel box, empty if x1 < x0
};
static_assert(sizeof(MeshFace) == 15 * sizeof(double), "the caller allocates the records as doubles");

// One view of a batch.
struct MeshView {
  const float* vertices;  // v 3, world
  const int32_t* faces;   // f 3
  const float* w2c;       // 4 4
  const float* K;         // 3 3
  int64_t width, height;
  bool cull;
  float near_z;
  MeshVertex* projected;        // v
  MeshFace* records;            // f
  const int64_t* tile_offsets;  // tiles + 1, into tile_faces
  const int32_t* tile_faces;    // ascending within a tile
  int32_t* face;                // h w
  float* bary;                  // h w 3
  float* depth;                 // h w
};

}  // namespace a3d

A3D_FOR_EACH_ISA(
    // Projects vertices [begin, end) to homogeneous pixels.
    void mesh_project(const MeshView& view, int64_t begin, int64_t end);
    // Makes the records of faces [begin, end).
    void mesh_setup(const MeshView& view, int64_t begin, int64_t end);
    // Draws one tile.
    void mesh_tile(const MeshView& view, int64_t tile);
)
