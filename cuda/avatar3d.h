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

#ifdef __cplusplus
}
#endif
