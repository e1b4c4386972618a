"""The C interface of the GPU library, as in cuda/avatar3d_gpu.h (a test compares them)."""

ABI_VERSION = 1
"""Must equal A3D_GPU_ABI_VERSION."""

SIGNATURES: dict[str, str] = {
    "a3d_gpu_load": "const uint8_t*, int64_t",
    "a3d_gpu_timing": "int32_t, uint8_t*, int64_t",
    "a3d_gpu_sort_workspace": "int64_t, int64_t*",
    "a3d_gpu_sort": "int64_t, int32_t, int32_t*, int32_t*, int32_t*, int32_t*, void*",
    "a3d_gpu_splat_workspace": "int64_t, int64_t, int64_t, int64_t, int64_t, int64_t*",
    "a3d_gpu_splat_forward": "int64_t, int64_t, int64_t, int64_t, int64_t, const float*, const float*, const float*, "
    "const float*, const float*, int32_t, const float*, const float*, int32_t, const float*, uint8_t*, int64_t, "
    "float*, float*, float*, int64_t*, void*",
    "a3d_gpu_splat_backward_workspace": "int64_t, int64_t, int64_t, int64_t*",
    "a3d_gpu_splat_backward": "int64_t, int64_t, int64_t, int64_t, int64_t, const float*, const float*, const float*, "
    "const float*, const float*, int32_t, const float*, const float*, int32_t, const float*, uint8_t*, int64_t, "
    "const float*, const float*, const float*, const float*, const float*, const float*, int64_t, uint8_t*, float*, "
    "float*, float*, float*, float*, float*, void*",
    "a3d_gpu_pose_frames": "const float*, const int32_t*, int64_t, int64_t, int64_t, float*, void*",
    "a3d_gpu_pose_forward": "const float*, const float*, const float*, const float*, const int32_t*, const float*, "
    "const float*, const float*, const float*, const float*, const float*, int64_t, int64_t, int64_t, int64_t, "
    "float*, float*, float*, float*, float*, void*",
    "a3d_gpu_pose_backward": "const float*, const float*, const int32_t*, const float*, const float*, const float*, "
    "const float*, const float*, const float*, int64_t, int64_t, int64_t, int64_t, float*, float*, float*, "
    "const float*, const float*, const float*, const float*, float*, float*, float*, float*, float*, float*, float*, "
    "float*, float*, float*, void*",
    "a3d_gpu_pose_scatter": "const float*, const int32_t*, const int32_t*, int64_t, int64_t, int64_t, float*, void*",
    "a3d_gpu_loss_workspace": "int64_t, int64_t, int64_t, int64_t*",
    "a3d_gpu_loss_l1_ssim": "const float*, const float*, const float*, int64_t, int64_t, int64_t, float, float*, "
    "float*, float*, void*",
    "a3d_gpu_adam_step": "float*, const float*, float*, float*, const uint8_t*, int64_t, int64_t, int64_t, double, "
    "double, double, double, void*",
    "a3d_gpu_grid_encode": "const float*, const float*, const float*, const int64_t*, int64_t, int64_t, int64_t, "
    "int64_t, float*, void*",
    "a3d_gpu_grid_backward": "const float*, const float*, const float*, const int64_t*, int64_t, int64_t, int64_t, "
    "int64_t, const float*, float*, float*, void*",
    "a3d_gpu_mlp_forward": "const float*, const float*, const int64_t*, int64_t, int64_t, float*, void*",
    "a3d_gpu_mlp_workspace": "const int64_t*, int64_t, int64_t, int64_t*",
    "a3d_gpu_mlp_backward": "const float*, const float*, const int64_t*, int64_t, int64_t, const float*, float*, "
    "float*, float*, void*",
    "a3d_gpu_ray_count": "const float*, const float*, const float*, const float*, const float*, const int32_t*, "
    "const uint8_t*, const int64_t*, const float*, float, int64_t, int64_t, int64_t*, int32_t*, void*",
    "a3d_gpu_ray_fill": "const float*, const float*, const float*, const float*, const float*, const int32_t*, "
    "const uint8_t*, const int64_t*, const float*, float, int64_t, int64_t, const int64_t*, float*, int32_t*, void*",
    "a3d_gpu_volume_forward": "const float*, const float*, const float*, const float*, const int64_t*, int64_t, "
    "float*, float*, float*, float*, int32_t*, void*",
    "a3d_gpu_volume_backward": "const float*, const float*, const float*, const int64_t*, int64_t, float*, float*, "
    "int32_t*, const float*, const float*, const float*, const float*, float*, float*, void*",
    "a3d_gpu_closest_workspace": "int64_t, int64_t*",
    "a3d_gpu_closest_build": "const float*, const int32_t*, int64_t, int64_t, uint8_t*, void*",
    "a3d_gpu_closest_query": "const float*, const uint8_t*, int64_t, int64_t, float, int32_t*, float*, float*, void*",
    "a3d_gpu_image_bytes": "const float*, const float*, int64_t, uint8_t*, void*",
    "a3d_gpu_composite": "const uint8_t*, const uint8_t*, const int64_t*, const float*, int64_t, int64_t, int64_t, "
    "int64_t, int64_t, float*, float*, void*",
}
"""C parameter types of every function. All return int32_t."""
