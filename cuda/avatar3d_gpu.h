// The C interface of the GPU library; avatar3d/ops/gpu.py holds the same table and a test compares the two.
//
// Rules, beside those of avatar3d.h: arrays are in device memory unless said otherwise, `stream` is a CUDA stream (null:
// the default one) of the current context, and functions return as soon as their kernels are in that stream. Results
// have the same bits in every run, unless a function says otherwise. The emulated library (cuda/emulator) has the same
// functions; there device memory is memory and streams are ignored.
#pragma once
#include "avatar3d.h"

#define A3D_GPU_ABI_VERSION 1

#ifdef __cplusplus
extern "C" {
#endif

// ---- library: cuda/gpu/library.cpp, driver.cpp -----------------------------------------------------------------------
A3D_API int32_t a3d_gpu_abi_version(void);
A3D_API const char* a3d_gpu_last_error(void);
// Takes the kernels of one .cu file from a fatbin or cubin (host memory), made by nvcc ahead of time or by NVRTC at first
// use; needs the driver. The functions below need it before, once for each file.
A3D_API int32_t a3d_gpu_load(const uint8_t* image, int64_t bytes);
// Times every launch from now on, or no longer; and says in `text` (host memory) what was timed until now: a line for each
// kernel with its name, its launches and their median milliseconds. Waits for the device.
A3D_API int32_t a3d_gpu_timing(int32_t on, uint8_t* text, int64_t bytes);

// ---- sort: cuda/gpu/sort.cu ------------------------------------------------------------------------------------------
// Sorts n pairs by the lowest `bits` bits of their keys as unsigned numbers, stably. keys and values: 2 n, the first row
// the input, the other room; *result (host memory) receives the row that holds the answer.
A3D_API int32_t a3d_gpu_sort_workspace(int64_t n, int64_t* words);
A3D_API int32_t a3d_gpu_sort(int64_t n, int32_t bits, int32_t* keys, int32_t* values, int32_t* workspace,
                             int32_t* result, void* stream);

// ---- splats: cuda/gpu/splat_api.cpp ----------------------------------------------------------------------------------
// As the functions of avatar3d.h without `_gpu`, on the device. The workspace lives from forward to backward.
A3D_API int32_t a3d_gpu_splat_workspace(int64_t splats, int64_t views, int64_t width, int64_t height, int64_t pairs,
                                        int64_t* bytes);
// counts, two numbers on the device, receive the (splat, tile) pairs needed and the gradient slots. Where the first
// exceeds `pairs` nothing but background was drawn: call again with more room. The host need not know before.
A3D_API int32_t a3d_gpu_splat_forward(int64_t splats, int64_t views, int64_t bases, int64_t width, int64_t height,
                                      const float* means, const float* quats, const float* log_scales,
                                      const float* logits, const float* sh, int32_t many_poses, const float* w2c,
                                      const float* intrinsics, int32_t many_cameras, const float* background,
                                      uint8_t* workspace, int64_t pairs, float* rgb, float* alpha, float* depth,
                                      int64_t* counts, void* stream);
A3D_API int32_t a3d_gpu_splat_backward_workspace(int64_t splats, int64_t views, int64_t slots, int64_t* bytes);
// slots: what counts[1] said; any number from there to `pairs` will do.
A3D_API int32_t a3d_gpu_splat_backward(int64_t splats, int64_t views, int64_t bases, int64_t width, int64_t height,
                                       const float* means, const float* quats, const float* log_scales,
                                       const float* logits, const float* sh, int32_t many_poses, const float* w2c,
                                       const float* intrinsics, int32_t many_cameras, const float* background,
                                       uint8_t* workspace, int64_t pairs, const float* rgb, const float* alpha,
                                       const float* depth, const float* grad_rgb, const float* grad_alpha,
                                       const float* grad_depth, int64_t slots, uint8_t* scratch, float* grad_means,
                                       float* grad_quats, float* grad_log_scales, float* grad_logits, float* grad_sh,
                                       float* grad_cameras, void* stream);

// ---- pose: cuda/gpu/pose_api.cpp -------------------------------------------------------------------------------------
// As the functions of avatar3d.h without `_gpu`, on the device; up to 65535 poses.
A3D_API int32_t a3d_gpu_pose_frames(const float* vertices, const int32_t* faces, int64_t b, int64_t v, int64_t f,
                                    float* frames, void* stream);
A3D_API int32_t a3d_gpu_pose_forward(const float* means, const float* quats, const float* log_scales,
                                     const float* colours, const int32_t* face, const float* bary,
                                     const float* basis_means, const float* basis_quats, const float* basis_colours,
                                     const float* weights, const float* frames, int64_t n, int64_t k, int64_t b,
                                     int64_t f, float* world_means, float* world_quats, float* world_log_scales,
                                     float* world_colours, float* inverse_length, void* stream);
A3D_API int32_t a3d_gpu_pose_backward(const float* means, const float* quats, const int32_t* face, const float* bary,
                                      const float* basis_means, const float* basis_quats, const float* basis_colours,
                                      const float* weights, const float* frames, int64_t n, int64_t k, int64_t b,
                                      int64_t f, float* world_means, float* world_quats, float* inverse_length,
                                      const float* g_world_means, const float* g_world_quats,
                                      const float* g_world_log_scales, const float* g_world_colours, float* g_means,
                                      float* g_quats, float* g_log_scales, float* g_colours, float* g_basis_means,
                                      float* g_basis_quats, float* g_basis_colours, float* parts, float* g_weights,
                                      float* g_corners, void* stream);
// Sums are atomic: their last bits vary from run to run.
A3D_API int32_t a3d_gpu_pose_scatter(const float* g_corners, const int32_t* face, const int32_t* faces, int64_t n,
                                     int64_t b, int64_t v, float* g_vertices, void* stream);

// ---- loss: cuda/gpu/loss_api.cpp -------------------------------------------------------------------------------------
// Floats of the workspace of a3d_gpu_loss_l1_ssim, which is otherwise a3d_loss_l1_ssim; loss is on the device.
A3D_API int32_t a3d_gpu_loss_workspace(int64_t b, int64_t h, int64_t w, int64_t* floats);
A3D_API int32_t a3d_gpu_loss_l1_ssim(const float* render, const float* target, const float* weight, int64_t b,
                                     int64_t h, int64_t w, float ssim_share, float* workspace, float* loss,
                                     float* gradient, void* stream);

// ---- adam: cuda/gpu/adam_api.cpp -------------------------------------------------------------------------------------
A3D_API int32_t a3d_gpu_adam_step(float* value, const float* gradient, float* first, float* second,
                                  const uint8_t* skip, int64_t rows, int64_t width, int64_t step, double rate,
                                  double beta1, double beta2, double epsilon, void* stream);

// ---- radiance fields: cuda/gpu/hashgrid_api.cpp, mlp_api.cpp, ray_api.cpp ----------------------------------------------
// As the functions of avatar3d.h without `_gpu`, on the device; scales, shapes, widths, cells and box are in host memory.
A3D_API int32_t a3d_gpu_grid_encode(const float* points, const float* table, const float* scales,
                                    const int64_t* shapes, int64_t m, int64_t levels, int64_t features, int64_t rows,
                                    float* out, void* stream);
// g_table is summed by atomics: its last bits vary from run to run.
A3D_API int32_t a3d_gpu_grid_backward(const float* points, const float* table, const float* scales,
                                      const int64_t* shapes, int64_t m, int64_t levels, int64_t features, int64_t rows,
                                      const float* g_out, float* g_table, float* g_points, void* stream);
// Widths of up to 64.
A3D_API int32_t a3d_gpu_mlp_forward(const float* x, const float* parameters, const int64_t* widths, int64_t m,
                                    int64_t layers, float* out, void* stream);
A3D_API int32_t a3d_gpu_mlp_workspace(const int64_t* widths, int64_t m, int64_t layers, int64_t* floats);
A3D_API int32_t a3d_gpu_mlp_backward(const float* x, const float* parameters, const int64_t* widths, int64_t m,
                                     int64_t layers, const float* g_out, float* parts, float* g_x,
                                     float* g_parameters, void* stream);
// offsets[i + 1] receives the number of samples of ray i, and the caller adds them up.
A3D_API int32_t a3d_gpu_ray_count(const float* origins, const float* directions, const float* near, const float* far,
                                  const float* jitter, const int32_t* first, const uint8_t* occupancy,
                                  const int64_t* cells, const float* box, float step, int64_t limit, int64_t r,
                                  int64_t* offsets, int32_t* next, void* stream);
A3D_API int32_t a3d_gpu_ray_fill(const float* origins, const float* directions, const float* near, const float* far,
                                 const float* jitter, const int32_t* first, const uint8_t* occupancy,
                                 const int64_t* cells, const float* box, float step, int64_t limit, int64_t r,
                                 const int64_t* offsets, float* t, int32_t* ray_of, void* stream);
A3D_API int32_t a3d_gpu_volume_forward(const float* density, const float* colour, const float* t, const float* dt,
                                       const int64_t* offsets, int64_t r, float* rgb, float* alpha, float* depth,
                                       float* weights, int32_t* used, void* stream);
A3D_API int32_t a3d_gpu_volume_backward(const float* colour, const float* t, const float* dt, const int64_t* offsets,
                                        int64_t r, float* alpha, float* weights, int32_t* used, const float* g_rgb,
                                        const float* g_alpha, const float* g_depth, const float* g_weights,
                                        float* g_density, float* g_colour, void* stream);

// ---- closest points: cuda/gpu/closest_api.cpp ----------------------------------------------------------------------------
// As a3d_closest_*, with another tree.
A3D_API int32_t a3d_gpu_closest_workspace(int64_t f, int64_t* bytes);
// Vertex ids are not looked at: the caller checks them.
A3D_API int32_t a3d_gpu_closest_build(const float* vertices, const int32_t* faces, int64_t v, int64_t f, uint8_t* tree,
                                      void* stream);
A3D_API int32_t a3d_gpu_closest_query(const float* points, const uint8_t* tree, int64_t m, int64_t f, float radius,
                                      int32_t* face, float* bary, float* distance, void* stream);

// ---- pictures: cuda/gpu/picture_api.cpp --------------------------------------------------------------------------------
A3D_API int32_t a3d_gpu_image_bytes(const float* rgb, const float* alpha, int64_t pixels, uint8_t* out, void* stream);
// `rows` is on the device, so that a row outside cannot be refused: it gives the background.
A3D_API int32_t a3d_gpu_composite(const uint8_t* images, const uint8_t* masks, const int64_t* rows,
                                  const float* background, int64_t m, int64_t h, int64_t w, int64_t b, int64_t shrink,
                                  float* target, float* mask, void* stream);

#ifdef __cplusplus
}
#endif
