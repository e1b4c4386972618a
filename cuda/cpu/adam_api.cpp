// Entry point of Adam.
#include "avatar3d.h"
#include "cpu/adam.h"
#include "cpu/pool.h"

extern "C" int32_t a3d_adam_step(float* value, const float* gradient, float* first, float* second, const uint8_t* skip,
                                 int64_t rows, int64_t width, int64_t step, double rate, double beta1, double beta2,
                                 double epsilon, int32_t threads) {
  using namespace a3d;
  const AdamStep job{value, gradient, first, second, adam_rates(step, rate, beta1, beta2, epsilon)};
  const auto loop = A3D_PICK(adam_step);
  constexpr int64_t kTask = 1 << 14;  // elements
  if (!skip) {
    const int64_t count = rows * width;
    Pool::run((count + kTask - 1) / kTask, threads, [&](int64_t task) {
      loop(job, task * kTask, (task + 1) * kTask < count ? (task + 1) * kTask : count);
    });
    return 0;
  }
  const int64_t height = width < kTask ? kTask / width : 1;  // rows of a task
  Pool::run((rows + height - 1) / height, threads, [&](int64_t task) {
    const int64_t end = (task + 1) * height < rows ? (task + 1) * height : rows;
    for (int64_t row = task * height; row < end;) {
      int64_t stop = row;
      while (stop < end && !skip[stop]) stop++;
      if (stop > row) loop(job, row * width, stop * width);
      row = stop + 1;
    }
  });
  return 0;
}
