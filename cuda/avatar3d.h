// The C interface of the native libraries; avatar3d/ops/native.py holds the same table and a test compares the two.
//
// Rules: every function returns 0, or an error code whose text a3d_last_error() gives (for the calling thread). Memory
// belongs to the caller: outputs and workspaces are passed in, nothing is allocated here. Arrays are contiguous and
// row-major; sizes are int64_t; `threads` includes the caller. Results do not depend on `threads`.
#pragma once
#include <stdint.h>

#if defined(_WIN32)
#define A3D_API __declspec(dllexport)
#else
#define A3D_API __attribute__((visibility("default")))
#endif

#define A3D_ABI_VERSION 1

#ifdef __cplusplus
extern "C" {
#endif

// ---- library -------------------------------------------------------------------------------------------------------
A3D_API int32_t a3d_abi_version(void);
A3D_API const char* a3d_last_error(void);
// Highest instruction set this CPU runs: 0 base (SSE4 or NEON), 1 AVX2, 2 AVX-512.
A3D_API int32_t a3d_isa_supported(void);
// Instruction set in use.
A3D_API int32_t a3d_isa(void);
// Uses instruction set `level` from now on; -1 returns to the highest supported one.
A3D_API int32_t a3d_set_isa(int32_t level);

// ---- mesh ----------------------------------------------------------------------------------------------------------
// Projects a mesh into `views` cameras and bins its faces into 64 x 16 tiles. `vertex_stride` is the distance in floats
// between the views' vertices, 0 if they share them. Workspaces: projected views v 3, records views f 15, tile_offsets
// views (tiles + 1); the last offset is the length of tile_faces.
A3D_API int32_t a3d_mesh_setup(const float* vertices, int64_t vertex_stride, const int32_t* faces, const float* w2c,
                               const float* K, int64_t views, int64_t vertex_count, int64_t face_count, int64_t width,
                               int64_t height, int32_t cull, float near_z, double* projected, double* records,
                               int64_t* tile_offsets, int32_t threads);
// Draws what a3d_mesh_setup prepared: face views h w (-1: none), bary views h w 3, depth views h w (0: none).
A3D_API int32_t a3d_mesh_draw(int64_t views, int64_t face_count, int64_t width, int64_t height, float near_z,
                              double* records, int64_t* tile_offsets, int32_t* tile_faces, int32_t* face, float* bary,
                              float* depth, int32_t threads);

#ifdef __cplusplus
}
#endif
