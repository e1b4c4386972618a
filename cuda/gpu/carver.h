// Hands out aligned pieces of one block of device memory; with no block it only counts.
#pragma once
#include <stdint.h>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace a3d::gpu {

class Carver {
 public:
  explicit Carver(uint8_t* block) : begin_(reinterpret_cast<uintptr_t>(block)) {}
#if defined(__SANITIZE_ADDRESS__)
  ~Carver() {
    if (begin_) ASAN_UNPOISON_MEMORY_REGION(reinterpret_cast<void*>(begin_), bytes());
  }
#endif
  template <class T>
  T* take(int64_t count) {
    const int64_t at = used_, bytes = count * int64_t(sizeof(T));
    used_ += (bytes + kAlign - 1) / kAlign * kAlign + kGap;
    if (!begin_) return nullptr;
    const uintptr_t piece = (begin_ + kAlign - 1) / kAlign * kAlign + at;
#if defined(__SANITIZE_ADDRESS__)
    // So that the address sanitizer sees a kernel that leaves its piece, as long as this object lives.
    ASAN_POISON_MEMORY_REGION(reinterpret_cast<void*>(piece + bytes), used_ - at - bytes);
#endif
    return reinterpret_cast<T*>(piece);
  }
  int64_t bytes() const { return used_ + kAlign; }  // the block itself may start anywhere

 private:
  static constexpr int64_t kAlign = 256;
#if defined(__SANITIZE_ADDRESS__)
  static constexpr int64_t kGap = 256;
#else
  static constexpr int64_t kGap = 0;
#endif
  uintptr_t begin_;
  int64_t used_ = 0;
};

}  // namespace a3d::gpu
