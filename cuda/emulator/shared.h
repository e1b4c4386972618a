// Shared memory that knows who touched it: an index out of bounds, a read of what no thread of the block wrote, and two
// threads that meet at an element with no barrier between them are errors with the array's name.
#pragma once
#include "emulator/emulator.h"

namespace a3d::emulator {

// The accesses to one element since the last barrier. Several readers are told apart as far as it matters to a writer:
// one thread, several of one warp, or several warps.
struct Shadow {
  uint32_t write_epoch = 0, write_thread = 0, write_warp_epoch = 0;
  uint32_t read_epoch = 0, read_thread = 0, read_warp_epoch = 0;
  uint8_t readers = 0;  // 0 one thread, 1 one warp, 2 more
  bool atomic = false;  // the last write was an atomic operation
};

[[noreturn]] void race(const char* array, int64_t index, const char* now, uint32_t before_thread, const char* before);

inline bool ordered(uint32_t thread, uint32_t warp_epoch) {  // an access of this block epoch by `thread`
  if (thread == current->rank) return true;
  return thread / kWarp == current->rank / kWarp && warp_epoch < current->warp_epoch;
}

inline void note_read(Shadow& s, const char* name, int64_t index) {
  running->counters.shared_reads++;
  if (s.write_epoch < block_epoch) stop("shared %s[%lld] is read before any thread wrote it", name, (long long)index);
  if (s.write_epoch == epoch && !ordered(s.write_thread, s.write_warp_epoch))
    race(name, index, "reads", s.write_thread, "wrote");
  const uint32_t me = current->rank;
  if (s.read_epoch != epoch) {
    s.read_epoch = epoch, s.read_thread = me, s.readers = 0, s.read_warp_epoch = current->warp_epoch;
    return;
  }
  if (s.read_thread != me && s.readers < 2) s.readers = s.read_thread / kWarp == me / kWarp ? 1 : 2;
  if (s.read_warp_epoch < current->warp_epoch) s.read_warp_epoch = current->warp_epoch;
}

inline void note_write(Shadow& s, const char* name, int64_t index, bool atomic) {
  running->counters.shared_writes++;
  const bool both_atomic = atomic && s.atomic;
  if (s.write_epoch == epoch && !both_atomic && !ordered(s.write_thread, s.write_warp_epoch))
    race(name, index, "writes", s.write_thread, "wrote");
  if (s.read_epoch == epoch) {
    const bool alone = s.readers == 0 && s.read_thread == current->rank;
    const bool same_warp = s.readers < 2 && s.read_thread / kWarp == current->rank / kWarp;
    if (!alone && !(same_warp && s.read_warp_epoch < current->warp_epoch))
      race(name, index, "writes", s.read_thread, "read");
  }
  s.write_epoch = epoch, s.write_thread = current->rank, s.write_warp_epoch = current->warp_epoch, s.atomic = atomic;
}

// One element: read and written whole, as `const T x = array[i]` and `array[i] = x`.
template <class T>
class Element {
 public:
  Element(T* value, Shadow* shadow, const char* name, int64_t index)
      : value_(value), shadow_(shadow), name_(name), index_(index) {}
  operator T() const {
    note_read(*shadow_, name_, index_);
    return *value_;
  }
  Element(const Element&) = default;
  const Element& operator=(const T& value) const {
    note_write(*shadow_, name_, index_, false);
    *value_ = value;
    return *this;
  }
  const Element& operator=(const Element& other) const { return *this = T(other); }
  const Element& operator+=(const T& value) const { return *this = T(*this) + value; }
  Element operator&() const { return *this; }  // for the atomic operations
  template <class Change>
  T exchange(Change change) const {
    if (shadow_->write_epoch < block_epoch)
      stop("shared %s[%lld] is changed before any thread wrote it", name_, (long long)index_);
    note_write(*shadow_, name_, index_, true);
    const T before = *value_;
    *value_ = change(before);
    return before;
  }

 private:
  T* value_;
  Shadow* shadow_;
  const char* name_;
  int64_t index_;
};

// An array of shared memory. Blocks follow one another, so one array serves them all; what an earlier block left counts
// as not written.
template <class T, int64_t count>
class Shared {
 public:
  constexpr explicit Shared(const char* name) : name_(name) {}
  Element<T> operator[](int64_t i) {
    if (i < 0 || i >= count)
      stop("shared %s[%lld] is out of bounds: it has %lld elements", name_, (long long)i, (long long)count);
    return {&values_[i], &shadows_[i], name_, i};
  }

 private:
  const char* name_;
  T values_[count] = {};
  Shadow shadows_[count] = {};
};

}  // namespace a3d::emulator
