// Runs launches: the scheduler of the fibers, its errors and counters.
#include "emulator/emulator.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>

#include <algorithm>
#include <random>
#include <vector>
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

#include "cpu/error.h"
#include "emulator/fiber.h"
#include "emulator/shared.h"
#include "gpu/launch.h"

namespace a3d::emulator {

Thread* current;
Dim3 block_index, block_size, grid_size;
uint32_t epoch = 1, block_epoch = 1;
Kernel* running;
float error = 0.f;
Kernel* kernels;

namespace {
constexpr size_t kStack = 256 * 1024;  // only the pages that are touched cost memory

enum class State : uint8_t { kReady, kAtBarrier, kAtExchange, kDone };

struct Fiber : Thread {
  Context context;
  State state;
  Place place;  // where it waits
  uint32_t mask;
  bool predicate, orders_memory;
  uint64_t value;
};

struct Warp {
  uint64_t given[kWarp];  // what the lanes of the last exchange gave
};

Order order = kForward;
std::mt19937 random_numbers;
std::vector<Fiber> fibers;
std::vector<uint8_t*> stacks;
std::vector<Warp> warps;
std::vector<uint32_t> lanes(kWarp), warp_order;
Context scheduler;
uint32_t threads;
const void* arguments;
int barrier_count;
Place last_barrier;
bool failed;

Fiber& me() { return *static_cast<Fiber*>(current); }

void say(const char* format, va_list values) {
  char what[300], where[160] = "";
  vsnprintf(what, sizeof(what), format, values);
  if (last_barrier.line) snprintf(where, sizeof(where), "; last barrier: %s:%d", last_barrier.file, last_barrier.line);
  fail("%s: %s (block %u,%u,%u%s)", running->name, what, block_index.x, block_index.y, block_index.z, where);
  failed = true;
}

// From the scheduler, where there is no fiber to leave.
__attribute__((format(printf, 1, 2))) void complain(const char* format, ...) {
  va_list values;
  va_start(values, format);
  say(format, values);
  va_end(values);
}

void leave() { switch_to(me().context, scheduler); }

void entry() {
  running->run(arguments);
  me().state = State::kDone;
  leave();
}

void run_lanes(uint32_t warp) {
  const uint32_t first = warp * kWarp, count = std::min<uint32_t>(kWarp, threads - first);
  if (order == kRandom) std::shuffle(lanes.begin(), lanes.end(), random_numbers);
  for (uint32_t i = 0; i < kWarp && !failed; i++) {
    const uint32_t lane = order == kForward ? i : order == kReverse ? kWarp - 1 - i : lanes[i];
    if (lane >= count || fibers[first + lane].state != State::kReady) continue;
    current = &fibers[first + lane];
    switch_to(scheduler, me().context);
  }
}

// Lets the lanes of one exchange go on when all of them have come. Returns whether there was one.
bool release(uint32_t warp) {
  const uint32_t first = warp * kWarp, count = std::min<uint32_t>(kWarp, threads - first);
  uint32_t present = 0;  // lanes that have not returned
  for (uint32_t lane = 0; lane < count; lane++) present |= uint32_t(fibers[first + lane].state != State::kDone) << lane;
  for (uint32_t lane = 0; lane < count; lane++) {
    const Fiber& leader = fibers[first + lane];
    if (leader.state != State::kAtExchange) continue;
    const uint32_t wanted = leader.mask & present;
    bool complete = true;
    for (uint32_t other = 0; other < count && complete; other++) {
      const Fiber& f = fibers[first + other];
      if (wanted >> other & 1)
        complete = f.state == State::kAtExchange && f.mask == leader.mask && f.place.line == leader.place.line &&
                   f.place.file == leader.place.file;
    }
    if (!complete) continue;
    Warp& w = warps[warp];
    for (uint32_t other = 0; other < kWarp; other++) {
      const bool takes_part = wanted >> other & 1;
      w.given[other] = takes_part ? fibers[first + other].value : 0;
      if (!takes_part) continue;
      fibers[first + other].state = State::kReady;
      fibers[first + other].warp_epoch += leader.orders_memory;
    }
    return true;
  }
  return false;
}

// Runs a warp until every lane has returned or waits for the block.
void run_warp(uint32_t warp) {
  const uint32_t first = warp * kWarp, end = std::min(threads, first + kWarp);
  for (;;) {
    run_lanes(warp);
    if (failed) return;
    const Fiber* waiting = nullptr;
    for (uint32_t i = first; i < end && !waiting; i++)
      if (fibers[i].state == State::kAtExchange) waiting = &fibers[i];
    if (!waiting) return;
    if (release(warp)) continue;
    const Fiber* other = nullptr;  // a lane that it waits for in vain
    for (uint32_t i = first; i < end && !other; i++)
      if ((waiting->mask >> (i - first) & 1) && fibers[i].state != State::kDone &&
          (fibers[i].state != State::kAtExchange || fibers[i].mask != waiting->mask ||
           fibers[i].place.line != waiting->place.line))
        other = &fibers[i];
    if (!other) other = waiting;
    return complain("divergent warp operation: thread %u is at %s:%d with mask %08x, thread %u at %s:%d", waiting->rank,
                    waiting->place.file, waiting->place.line, waiting->mask, other->rank, other->place.file,
                    other->place.line);
  }
}

void begin_block() {
  epoch++, block_epoch = epoch, barrier_count = 0, last_barrier = {};
  for (uint32_t i = 0; i < threads; i++) {
    Fiber& f = fibers[i];
    static_cast<Thread&>(f) = {{i, 0, 0}, i, 0, {}};
    f.state = State::kReady, f.place = {};
    prepare(f.context, stacks[i], kStack, entry);
  }
}

void end_block() {
  Counters& c = running->counters;
  c.blocks++, c.threads += threads, c.warps += warps.size();
  for (uint32_t first = 0; first < threads; first += kWarp)
    for (int event = 0; event < kEvents; event++) {
      uint32_t most = 0;
      for (uint32_t i = first; i < std::min(threads, first + kWarp); i++) {
        c.lane[event] += fibers[i].events[event];
        most = std::max(most, fibers[i].events[event]);
      }
      c.warp[event] += most;
    }
}

// All threads that have not returned wait for the block: they must wait at one place.
void pass_barrier() {
  const Fiber* first = nullptr;
  for (uint32_t i = 0; i < threads; i++) {
    Fiber& f = fibers[i];
    if (f.state != State::kAtBarrier) continue;
    if (!first) first = &f;
    if (f.place.line != first->place.line || f.place.file != first->place.file)
      return complain("divergent barrier: thread %u waits at %s:%d, thread %u at %s:%d", first->rank, first->place.file,
                      first->place.line, f.rank, f.place.file, f.place.line);
  }
  for (uint32_t i = 0; i < threads; i++) {
    if (fibers[i].state == State::kDone)
      return complain("divergent barrier: thread %u has returned, thread %u waits at %s:%d", i, first->rank,
                      first->place.file, first->place.line);
  }
  barrier_count = 0;
  for (uint32_t i = 0; i < threads; i++) barrier_count += fibers[i].predicate, fibers[i].state = State::kReady;
  last_barrier = first->place, epoch++, running->counters.barriers++;
}

void run_block() {
  begin_block();
  for (;;) {
    if (order == kRandom) std::shuffle(warp_order.begin(), warp_order.end(), random_numbers);
    for (uint32_t i = 0; i < warps.size() && !failed; i++)
      run_warp(order == kForward ? i : order == kReverse ? uint32_t(warps.size()) - 1 - i : warp_order[i]);
    if (failed) return;
    bool waiting = false;
    for (uint32_t i = 0; i < threads && !waiting; i++) waiting = fibers[i].state == State::kAtBarrier;
    if (!waiting) return end_block();
    pass_barrier();
    if (failed) return;
  }
}

void make_room() {
  fibers.resize(std::max<size_t>(fibers.size(), threads));
  while (stacks.size() < threads) {
    void* stack = mmap(nullptr, kStack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED) return complain("no memory for the stacks of %u threads", threads);
    stacks.push_back(static_cast<uint8_t*>(stack));
  }
  warps.resize((threads + kWarp - 1) / kWarp);
  for (uint32_t i = 0; i < kWarp; i++) lanes[i] = i;
  warp_order.resize(warps.size());
  for (uint32_t i = 0; i < warps.size(); i++) warp_order[i] = i;
}
}  // namespace

void set_order(Order wanted, uint32_t seed) { order = wanted, random_numbers.seed(seed); }

Kernel::Kernel(const char* name, void (*run)(const void*), size_t bytes, uint32_t threads, uint32_t)
    : name(name), run(run), bytes(bytes), threads(threads), next(kernels) {
  kernels = this;
}

Kernel* Kernel::find(const char* name) {
  for (Kernel* kernel = kernels; kernel; kernel = kernel->next)
    if (!strcmp(kernel->name, name)) return kernel;
  return nullptr;
}

void stop(const char* format, ...) {
  va_list values;
  va_start(values, format);
  say(format, values);
  va_end(values);
  leave();  // for good: an abandoned fiber is never resumed
  __builtin_unreachable();
}

void race(const char* array, int64_t index, const char* now, uint32_t before_thread, const char* before) {
  stop("race on shared %s[%lld]: thread %u %s what thread %u %s with no barrier between", array, (long long)index,
       current->rank, now, before_thread, before);
}

int barrier(bool predicate, Place place) {
  Fiber& f = me();
  f.state = State::kAtBarrier, f.place = place, f.predicate = predicate;
  leave();
  return barrier_count;
}

const uint64_t* exchange(uint32_t mask, uint64_t value, bool orders_memory, Place place) {
  Fiber& f = me();
  if (!(mask >> (f.rank % kWarp) & 1))
    stop("thread %u takes part in a warp operation that its mask %08x omits", f.rank, mask);
  f.state = State::kAtExchange, f.place = place, f.mask = mask, f.value = value, f.orders_memory = orders_memory;
  running->counters.warp_operations++;
  leave();
  return warps[f.rank / kWarp].given;
}
}  // namespace a3d::emulator

namespace a3d::gpu {
using namespace a3d::emulator;

int launch_raw(const char* kernel, Grid grid, uint32_t block, void*, const void* given, size_t bytes) {
  running = Kernel::find(kernel);
  if (!running) return fail("no kernel %s", kernel);
  if (bytes != running->bytes) return fail("%s: arguments of %zu bytes, expected %zu", kernel, bytes, running->bytes);
  if (block < 1 || block > running->threads || !grid.x || !grid.y || !grid.z || grid.y > 65535 || grid.z > 65535)
    return fail("%s: grid %u,%u,%u of %u threads is out of range (at most %u threads)", kernel, grid.x, grid.y, grid.z,
                block, running->threads);
#if defined(__SANITIZE_ADDRESS__)
  if (failed)  // fibers were abandoned: their frames must not look alive
    for (uint8_t* stack : stacks) ASAN_UNPOISON_MEMORY_REGION(stack, kStack);
#endif
  threads = block, arguments = given, failed = false;
  block_size = {block, 1, 1}, grid_size = {grid.x, grid.y, grid.z};
  make_room();
  running->counters.launches++;
  const uint64_t blocks = uint64_t(grid.x) * grid.y * grid.z;
  for (uint64_t i = 0; i < blocks && !failed; i++) {
    const uint64_t b = order == kReverse ? blocks - 1 - i : i;
    block_index = {uint32_t(b % grid.x), uint32_t(b / grid.x % grid.y), uint32_t(b / grid.x / grid.y)};
    run_block();
  }
  return failed;
}
}  // namespace a3d::gpu
