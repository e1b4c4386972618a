// Entry points of the mesh rasterizer.
#include "avatar3d.h"
#include "cpu/error.h"
#include "cpu/mesh.h"
#include "cpu/pool.h"

namespace {

using namespace a3d;

constexpr int64_t kChunk = 2048;  // vertices or faces a task

int64_t chunks(int64_t count) { return (count + kChunk - 1) / kChunk; }
int64_t chunk_end(int64_t chunk, int64_t count) { return (chunk + 1) * kChunk < count ? (chunk + 1) * kChunk : count; }
int64_t tile_columns(int64_t width) { return (width + kMeshTileWidth - 1) / kMeshTileWidth; }
int64_t tile_count(int64_t width, int64_t height) {
  return tile_columns(width) * ((height + kMeshTileHeight - 1) / kMeshTileHeight);
}

template <class Visit>
void each_tile(const MeshFace* records, int64_t faces, int64_t columns, Visit visit) {
  for (int64_t f = 0; f < faces; f++) {
    const MeshFace& face = records[f];
    if (face.x1 < face.x0) continue;
    for (int64_t y = face.y0 / kMeshTileHeight; y <= face.y1 / kMeshTileHeight; y++)
      for (int64_t x = face.x0 / kMeshTileWidth; x <= face.x1 / kMeshTileWidth; x++) visit(y * columns + x, f);
  }
}

}  // namespace

extern "C" {

int32_t a3d_mesh_setup(const float* vertices, int64_t vertex_stride, const int32_t* faces, const float* w2c,
                       const float* K, int64_t views, int64_t vertex_count, int64_t face_count, int64_t width,
                       int64_t height, int32_t cull, float near_z, double* projected, double* records,
                       int64_t* tile_offsets, int32_t threads) {
  for (int64_t i = 0; i < 3 * face_count; i++)
    if (faces[i] < 0 || faces[i] >= vertex_count)
      return fail("face %lld names vertex %d of %lld", (long long)(i / 3), faces[i], (long long)vertex_count);
  const int64_t columns = tile_columns(width), tiles = tile_count(width, height);
  auto view = [&](int64_t i) {
    MeshView out{};
    out.vertices = vertices + i * vertex_stride;
    out.faces = faces;
    out.w2c = w2c + 16 * i;
    out.K = K + 9 * i;
    out.width = width;
    out.height = height;
    out.cull = cull != 0;
    out.near_z = near_z;
    out.projected = reinterpret_cast<MeshVertex*>(projected) + i * vertex_count;
    out.records = reinterpret_cast<MeshFace*>(records) + i * face_count;
    return out;
  };
  const auto project = A3D_PICK(mesh_project);
  const auto setup = A3D_PICK(mesh_setup);
  const int64_t vertex_chunks = chunks(vertex_count), face_chunks = chunks(face_count);
  Pool::run(views * vertex_chunks, threads, [&](int64_t task) {
    const int64_t chunk = task % vertex_chunks;
    project(view(task / vertex_chunks), chunk * kChunk, chunk_end(chunk, vertex_count));
  });
  Pool::run(views * face_chunks, threads, [&](int64_t task) {
    const int64_t chunk = task % face_chunks;
    setup(view(task / face_chunks), chunk * kChunk, chunk_end(chunk, face_count));
  });
  Pool::run(views, threads, [&](int64_t i) {
    int64_t* counts = tile_offsets + i * (tiles + 1);
    for (int64_t t = 0; t <= tiles; t++) counts[t] = 0;
    each_tile(view(i).records, face_count, columns, [&](int64_t tile, int64_t) { counts[tile + 1]++; });
  });
  int64_t total = 0;
  for (int64_t i = 0; i < views; i++)
    for (int64_t t = 0; t <= tiles; t++) {
      int64_t& offset = tile_offsets[i * (tiles + 1) + t];
      total += offset;
      offset = total;
    }
  return 0;
}

int32_t a3d_mesh_draw(int64_t views, int64_t face_count, int64_t width, int64_t height, float near_z, double* records,
                      int64_t* tile_offsets, int32_t* tile_faces, int32_t* face, float* bary, float* depth,
                      int32_t threads) {
  const int64_t columns = tile_columns(width), tiles = tile_count(width, height);
  MeshFace* all = reinterpret_cast<MeshFace*>(records);
  Pool::run(views, threads, [&](int64_t i) {
    // Fills by advancing each offset to its end, then moves the ends back to starts: rising face order in every tile.
    int64_t* offsets = tile_offsets + i * (tiles + 1);
    const int64_t first = offsets[0];
    each_tile(all + i * face_count, face_count, columns,
              [&](int64_t tile, int64_t f) { tile_faces[offsets[tile]++] = int32_t(f); });
    for (int64_t t = tiles; t > 0; t--) offsets[t] = offsets[t - 1];
    offsets[0] = first;
  });
  const auto draw = A3D_PICK(mesh_tile);
  Pool::run(views * tiles, threads, [&](int64_t task) {
    const int64_t i = task / tiles;
    MeshView view{};
    view.width = width;
    view.height = height;
    view.near_z = near_z;
    view.records = all + i * face_count;
    view.tile_offsets = tile_offsets + i * (tiles + 1);
    view.tile_faces = tile_faces;
    view.face = face + i * width * height;
    view.bary = bary + 3 * i * width * height;
    view.depth = depth + i * width * height;
    draw(view, task % tiles);
  });
  return 0;
}
}
