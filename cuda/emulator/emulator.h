// The execution model of CUDA on a CPU: blocks one after another, each CUDA thread a fiber of its own.
//
// A fiber runs until it waits: at a barrier for the block, or at a warp operation for the lanes of its mask. Who runs
// next is up to the order (forward, reverse, random); a kernel without races gives the same bits in each. What a device
// leaves undefined is an error here, with its name, and ends the launch.
#pragma once
#include <stddef.h>
#include <stdint.h>

namespace a3d::emulator {

constexpr int kEvents = 8;      // kinds of events that a kernel may count by A3D_COUNT
constexpr int kWarp = 32;       // lanes

struct Dim3 {
  uint32_t x = 1, y = 1, z = 1;
};

struct Place {  // in the source
  const char* file = "";
  int line = 0;
};

// What running a kernel added up to, over all its launches. Those of `warp` count an event once for a warp: the largest
// of its lanes' numbers, summed over warps.
struct Counters {
  int64_t launches, blocks, warps, threads, barriers, warp_operations, shared_reads, shared_writes;
  int64_t lane[kEvents], warp[kEvents];
};

// A kernel by name; made by A3D_KERNEL before main.
class Kernel {
 public:
  Kernel(const char* name, void (*run)(const void*), size_t bytes, uint32_t threads, uint32_t min_blocks = 1);
  static Kernel* find(const char* name);

  const char* name;
  void (*run)(const void* arguments);
  size_t bytes;      // of the argument structure
  uint32_t threads;  // at most in a block
  Counters counters = {};
  Kernel* next;
};

// The thread that runs now, as kernels see it.
struct Thread {
  Dim3 index;
  uint32_t rank;        // in the block
  uint32_t warp_epoch;  // number of __syncwarp its warp has passed
  uint32_t events[kEvents];
};
extern Thread* current;
extern Dim3 block_index, block_size, grid_size;
extern uint32_t epoch;        // counts the barriers of the whole run
extern uint32_t block_epoch;  // its value when this block began
extern Kernel* running;
extern Kernel* kernels;  // the first of all

// Who runs first, of the threads that can; blocks likewise.
enum Order { kForward, kReverse, kRandom };
void set_order(Order order, uint32_t seed);

// Ends the launch with an error; never returns to the kernel.
[[noreturn]] void stop(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Waits for all threads of the block that have not returned; gives the number of them whose `predicate` is true.
int barrier(bool predicate, Place place);

// Waits for the lanes of `mask` that have not returned, which must come to the same place; gives what each lane gave, 0
// for lanes that gave nothing.
const uint64_t* exchange(uint32_t mask, uint64_t value, bool orders_memory, Place place);

// A device approximates some functions. Off by this relative error, up or down by the lowest bit of the argument, so
// that tests can bound what it does.
extern float error;
inline float approximated(float value, float argument) {
  uint32_t bits;
  __builtin_memcpy(&bits, &argument, 4);
  return value * (1.f + (bits & 1 ? error : -error));
}

}  // namespace a3d::emulator
