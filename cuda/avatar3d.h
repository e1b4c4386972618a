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

#define A3D_ABI_VERSION 2

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

// ---- splats: cuda/cpu/splat.cpp ------------------------------------------------------------------------------------
// Splats: means n 3, quats n 4 (wxyz, any length), log_scales n 3, logits n, sh n bases 3 (bases 1, 4, 9 or 16), with a
// leading axis of `views` when many_poses. Cameras: w2c 4 4 and intrinsics 3 3 (skew ignored), with that axis when
// many_cameras. background: views 3. Near plane 1 cm; constants: cuda/math/splat.h, cuda/cpu/splat.h.

// Bytes of the workspace that a3d_splat_forward fills and a3d_splat_backward reads; `pairs` is the room for (splat, tile)
// pairs.
A3D_API int32_t a3d_splat_workspace(int64_t splats, int64_t views, int64_t width, int64_t height, int64_t pairs,
                                    int64_t* bytes);

// Draws rgb views h w 3, alpha views h w, depth views h w (alpha-weighted z). counts[0] returns the number of pairs
// needed; when it exceeds `pairs` nothing was drawn: call again with more room. counts[1] returns the gradient slots.
A3D_API int32_t a3d_splat_forward(int64_t splats, int64_t views, int64_t bases, int64_t width, int64_t height,
                                  const float* means, const float* quats, const float* log_scales, const float* logits,
                                  const float* sh, int32_t many_poses, const float* w2c, const float* intrinsics,
                                  int32_t many_cameras, const float* background, uint8_t* workspace, int64_t pairs,
                                  float* rgb, float* alpha, float* depth, int64_t* counts, int32_t threads);

// Bytes of scratch for a3d_splat_backward.
A3D_API int32_t a3d_splat_backward_workspace(int64_t splats, int64_t views, int64_t slots, int64_t* bytes);

// Gradients from the cotangents of rgb, alpha and depth (each may be null) to splats (each output may be null) and to
// cameras: views 16, the 3 4 rows of w2c, then fx fy cx cy; null to skip. All outputs are overwritten.
A3D_API int32_t a3d_splat_backward(int64_t splats, int64_t views, int64_t bases, int64_t width, int64_t height,
                                   const float* means, const float* quats, const float* log_scales, const float* logits,
                                   const float* sh, int32_t many_poses, const float* w2c, const float* intrinsics,
                                   int32_t many_cameras, const float* background, uint8_t* workspace, int64_t pairs,
                                   const float* rgb, const float* alpha, const float* depth, const float* grad_rgb,
                                   const float* grad_alpha, const float* grad_depth, int64_t slots, uint8_t* scratch,
                                   float* grad_means, float* grad_quats, float* grad_log_scales, float* grad_logits,
                                   float* grad_sh, float* grad_cameras, int32_t threads);

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

// ---- pose ----------------------------------------------------------------------------------------------------------
// Moving frames of b meshes of v vertices and f faces: b f 24 floats (rotation columns, wxyz, size, log size, corners).
A3D_API int32_t a3d_pose_frames(const float* vertices, const int32_t* faces, int64_t b, int64_t v, int64_t f,
                                float* frames, int32_t threads);
// n splats into the world in b poses, with k reduced blendshapes (k = 0 and null without): see cuda/cpu/pose.h.
A3D_API int32_t a3d_pose_forward(const float* means, const float* quats, const float* log_scales, const float* colours,
                                 const int32_t* face, const float* bary, const float* basis_means,
                                 const float* basis_quats, const float* basis_colours, const float* weights,
                                 const float* frames, int64_t n, int64_t k, int64_t b, int64_t f, float* world_means,
                                 float* world_quats, float* world_log_scales, float* world_colours,
                                 float* inverse_length, int32_t threads);
// Gradients of a3d_pose_forward; those of the basis and of the corners (b n 3 3) may be null. Workspace: parts
// ceil(n / 256) b k.
A3D_API int32_t a3d_pose_backward(const float* means, const float* quats, const int32_t* face, const float* bary,
                                  const float* basis_means, const float* basis_quats, const float* basis_colours,
                                  const float* weights, const float* frames, int64_t n, int64_t k, int64_t b, int64_t f,
                                  float* world_means, float* world_quats, float* inverse_length,
                                  const float* g_world_means, const float* g_world_quats,
                                  const float* g_world_log_scales, const float* g_world_colours, float* g_means,
                                  float* g_quats, float* g_log_scales, float* g_colours, float* g_basis_means,
                                  float* g_basis_quats, float* g_basis_colours, float* parts, float* g_weights,
                                  float* g_corners, int32_t threads);
// Adds the gradients of the splats' corners to the vertices they are: b v 3.
A3D_API int32_t a3d_pose_scatter(const float* g_corners, const int32_t* face, const int32_t* faces, int64_t n,
                                 int64_t b, int64_t v, float* g_vertices, int32_t threads);

// ---- bytes ---------------------------------------------------------------------------------------------------------
// Colours in [0, 1] as bytes, three a pixel; with `alpha` (not null) four, colours divided by alpha.
A3D_API int32_t a3d_image_bytes(const float* rgb, const float* alpha, int64_t pixels, uint8_t* out, int32_t threads);

// ---- composite -----------------------------------------------------------------------------------------------------
// Of m pictures in bytes (m h w 3, mattes m h w) those at `rows` (b) over a colour each (b 3), averaged over blocks of
// shrink x shrink pixels: target b h/shrink w/shrink 3 and mask b h/shrink w/shrink, in [0, 1].
A3D_API int32_t a3d_composite(const uint8_t* images, const uint8_t* masks, const int64_t* rows, const float* background,
                              int64_t m, int64_t h, int64_t w, int64_t b, int64_t shrink, float* target, float* mask,
                              int32_t threads);

// ---- loss ----------------------------------------------------------------------------------------------------------
// (1 - share) L1 + share (1 - SSIM) of b pictures h w 3, weighted by b h w (null: 1), and its gradient by `render` (null:
// not wanted). Workspace: parts b ceil(h / 128) ceil(w / 64).
A3D_API int32_t a3d_loss_l1_ssim(const float* render, const float* target, const float* weight, int64_t b, int64_t h,
                                 int64_t w, float ssim_share, double* parts, float* loss, float* gradient,
                                 int32_t threads);

// ---- adam ----------------------------------------------------------------------------------------------------------
// Step number `step` (from 1) of Adam on rows x width elements, in place; rows with a non-zero `skip` (null: none) stand
// still.
A3D_API int32_t a3d_adam_step(float* value, const float* gradient, float* first, float* second, const uint8_t* skip,
                              int64_t rows, int64_t width, int64_t step, double rate, double beta1, double beta2,
                              double epsilon, int32_t threads);

// ---- hash grid: cuda/math/field.h ----------------------------------------------------------------------------------
// Features of m points in the unit cube: out m (levels features). table: rows features (1, 2, 4 or 8 features). scales:
// of each level, cells across the cube; shapes levels 4: vertices along an axis, first row, rows, whether hashed.
A3D_API int32_t a3d_grid_encode(const float* points, const float* table, const float* scales, const int64_t* shapes,
                                int64_t m, int64_t levels, int64_t features, int64_t rows, float* out,
                                int32_t threads);
// Gradients of a3d_grid_encode by the table and by the points; either may be null.
A3D_API int32_t a3d_grid_backward(const float* points, const float* table, const float* scales, const int64_t* shapes,
                                  int64_t m, int64_t levels, int64_t features, int64_t rows, const float* g_out,
                                  float* g_table, float* g_points, int32_t threads);

// ---- mlp -----------------------------------------------------------------------------------------------------------
// A network of dense layers with ReLU between them. widths: layers + 1 numbers; parameters: of each layer the matrix
// (outputs inputs), then the bias. x m widths[0], out m widths[layers].
A3D_API int32_t a3d_mlp_forward(const float* x, const float* parameters, const int64_t* widths, int64_t m,
                                int64_t layers, float* out, int32_t threads);
// Floats of the workspace of a3d_mlp_backward.
A3D_API int32_t a3d_mlp_workspace(const int64_t* widths, int64_t m, int64_t layers, int64_t* floats);
// Gradients of a3d_mlp_forward; g_x may be null.
A3D_API int32_t a3d_mlp_backward(const float* x, const float* parameters, const int64_t* widths, int64_t m,
                                 int64_t layers, const float* g_out, float* parts, float* g_x, float* g_parameters,
                                 int32_t threads);

// ---- rays: cuda/math/ray.h -----------------------------------------------------------------------------------------
// Samples of r rays at near + (i + jitter) step, whole i from `first` (null: 0), in the occupied cells of a box (low x y
// z, high x y z) of cells[0] x cells[1] x cells[2]; occupancy: z y x. offsets r + 1: where each ray's samples begin;
// next (may be null): the i to go on with after `limit` samples, 2^31 - 1 at the end of the ray.
A3D_API int32_t a3d_ray_count(const float* origins, const float* directions, const float* near, const float* far,
                              const float* jitter, const int32_t* first, const uint8_t* occupancy,
                              const int64_t* cells, const float* box, float step, int64_t limit, int64_t r,
                              int64_t* offsets, int32_t* next, int32_t threads);
// Writes the samples that a3d_ray_count counted: their t, and the ray of each.
A3D_API int32_t a3d_ray_fill(const float* origins, const float* directions, const float* near, const float* far,
                             const float* jitter, const int32_t* first, const uint8_t* occupancy, const int64_t* cells,
                             const float* box, float step, int64_t limit, int64_t r, const int64_t* offsets, float* t,
                             int32_t* ray_of, int32_t threads);
// Light along r rays of packed samples (density m, colour m 3, t m, dt m; those of ray i are [offsets[i],
// offsets[i + 1])): rgb r 3, alpha r, depth r (weighted t), weights m, and `used` r, the samples before the ray was opaque.
A3D_API int32_t a3d_volume_forward(const float* density, const float* colour, const float* t, const float* dt,
                                   const int64_t* offsets, int64_t r, float* rgb, float* alpha, float* depth,
                                   float* weights, int32_t* used, int32_t threads);
// Gradients of a3d_volume_forward by density and colour; all given ones but g_rgb may be null.
A3D_API int32_t a3d_volume_backward(const float* colour, const float* t, const float* dt, const int64_t* offsets,
                                    int64_t r, float* alpha, float* weights, int32_t* used, const float* g_rgb,
                                    const float* g_alpha, const float* g_depth, const float* g_weights,
                                    float* g_density, float* g_colour, int32_t threads);

// ---- closest points: cuda/math/closest.h, cuda/cpu/closest.h --------------------------------------------------------
// Bytes of the tree over a mesh of f faces.
A3D_API int32_t a3d_closest_workspace(int64_t f, int64_t* bytes);
// Builds the tree over faces f 3 of vertices v 3.
A3D_API int32_t a3d_closest_build(const float* vertices, const int32_t* faces, int64_t v, int64_t f, uint8_t* tree,
                                  int32_t threads);
// The closest of f faces to each of m points within `radius` (infinity: at any distance): face m (the lowest of equals;
// -1 where there is none), bary m 3 (of its corners; 0), distance m (radius).
A3D_API int32_t a3d_closest_query(const float* points, const uint8_t* tree, int64_t m, int64_t f, float radius,
                                  int32_t* face, float* bary, float* distance, int32_t threads);

#ifdef __cplusplus
}
#endif
