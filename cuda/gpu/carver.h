// Hands out aligned pieces of one block of device memory; with no block it only counts.
#pragma once
#include <stdint.h>

namespace a3d::gpu {

class Carver {
 public:
  explicit Carver(uint8_t* block) : begin_(reinterpret_cast<uintptr_t>(block)) {}
  template <class T>
  T* take(int64_t count) {
    const int64_t at = used_;
    used_ += (count * int64_t(sizeof(T)) + kAlign - 1) / kAlign * kAlign;
    return begin_ ? reinterpret_cast<T*>((begin_ + kAlign - 1) / kAlign * kAlign + at) : nullptr;
  }
  int64_t bytes() const { return used_ + kAlign; }  // the block itself may start anywhere

 private:
  static constexpr int64_t kAlign = 256;
  uintptr_t begin_;
  int64_t used_ = 0;
};

}  // namespace a3d::gpu
