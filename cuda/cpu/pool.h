// A small persistent thread pool. Not OpenMP: libgomp hangs in a child process forked after its first parallel region,
// which is what torch's DataLoader does; this one notices the fork and starts afresh.
#pragma once
#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace a3d {

class Pool {
 public:
  // Calls f(i) for every i in [0, n) from up to `threads` threads, the caller's among them, and returns when all are done.
  // Tasks are handed out one by one in rising order; a result must not depend on which thread runs a task.
  static void run(int64_t n, int threads, const std::function<void(int64_t)>& f) {
    if (threads <= 1 || n <= 1) {
      for (int64_t i = 0; i < n; i++) f(i);
      return;
    }
    get().run_parallel(n, threads < n ? threads : int(n), f);
  }

 private:
  // Workers and the caller look for news this often before they sleep: the stages of one call follow each other within
  // microseconds, while waking a sleeping thread takes fifty.
  static constexpr int kSpins = 2000;

  static void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }

  static Pool*& instance() {
    static Pool* pool = nullptr;
    return pool;
  }

  static Pool& get() {
    // The child of a fork has no workers; it leaks the parent's pool object and makes its own.
    static const bool registered = (pthread_atfork(nullptr, nullptr, [] { instance() = nullptr; }), true);
    (void)registered;
    static std::mutex creation;
    std::lock_guard<std::mutex> lock(creation);
    if (!instance()) instance() = new Pool();
    return *instance();
  }

  void run_parallel(int64_t n, int threads, const std::function<void(int64_t)>& f) {
    std::lock_guard<std::mutex> one_caller(callers_);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      while (int(workers_) < threads - 1) {
        std::thread([this, id = workers_] { work(id); }).detach();
        workers_++;
      }
      task_ = &f;
      count_ = n;
      next_.store(0, std::memory_order_relaxed);
      wanted_ = threads - 1;
      active_.store(threads - 1, std::memory_order_relaxed);
      generation_.fetch_add(1, std::memory_order_release);
    }
    if (sleeping_.load() > 0) wake_.notify_all();
    drain(f, n);
    for (int spin = 0; spin < kSpins && active_.load(std::memory_order_acquire); spin++) relax();
    if (active_.load(std::memory_order_acquire)) {
      std::unique_lock<std::mutex> lock(mutex_);
      done_.wait(lock, [&] { return active_.load(std::memory_order_acquire) == 0; });
    }
  }

  void drain(const std::function<void(int64_t)>& f, int64_t n) {
    for (int64_t i; (i = next_.fetch_add(1, std::memory_order_relaxed)) < n;) f(i);
  }

  void work(int id) {
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen; spin++) relax();
      const std::function<void(int64_t)>* task;
      int64_t count;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        sleeping_++;
        wake_.wait(lock, [&] { return generation_.load(std::memory_order_acquire) != seen; });
        sleeping_--;
        seen = generation_.load(std::memory_order_acquire);
        if (id >= wanted_) continue;
        task = task_;
        count = count_;
      }
      drain(*task, count);
      if (active_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
        std::lock_guard<std::mutex> lock(mutex_);  // so that the caller is not between its check and its sleep
        done_.notify_one();
      }
    }
  }

  std::mutex callers_, mutex_;
  std::condition_variable wake_, done_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int64_t> next_{0};
  std::atomic<int> active_{0}, sleeping_{0};
  const std::function<void(int64_t)>* task_ = nullptr;
  int64_t count_ = 0;
  int wanted_ = 0, workers_ = 0;
};

}  // namespace a3d
