#include "gpu/launch.h"
#include "gpu/sort_run.h"
#include "planted.h"

extern "C" int32_t a3d_planted(const float* in, float* out, int64_t n, int32_t bug) {
  const Planted args = {in, out, int32_t(n), bug};
  return a3d::gpu::launch("planted", {uint32_t(n / 64)}, 64, nullptr, args);
}

extern "C" int32_t a3d_planted_scan(int32_t* values, int32_t* sums, int64_t n) {
  return a3d::gpu::scan(reinterpret_cast<uint32_t*>(values), reinterpret_cast<uint32_t*>(sums), n, nullptr);
}
