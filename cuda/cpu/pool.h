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
  // Calls f(i) for every i in [0, n) from up to `threads` threads, the caller's among them, and returns when all are
  // done. Each thread begins with a range of its own, the same in every call, and then helps with the others': what a
  // stage wrote, the next stage finds in its core's cache. A result must not depend on which thread runs a task.
  static void run(int64_t n, int threads, const std::function<void(int64_t)>& f) {
    if (threads <= 1 || n <= 1) {
      for (int64_t i = 0; i < n; i++) f(i);
      return;
    }
    get().run_parallel(n, threads < n ? threads : int(n), f);
  }

 private:
  // Workers and the caller look for news this often (some 50 us) before they sleep: the stages of one call follow each
  // other within microseconds, and waking a thread takes as long.
  static constexpr int kSpins = 1500;

  struct alignas(64) Share {
    std::atomic<int64_t> next{0};
    int64_t end = 0;
  };

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
      for (; workers_ < threads - 1; workers_++) std::thread([this, id = workers_] { work(id); }).detach();
      task_ = &f;
      wanted_ = threads - 1;
      if (int(shares_.size()) < threads) shares_ = std::vector<Share>(threads);
      for (int64_t i = 0; i < threads; i++) {
        shares_[i].next.store(n * i / threads, std::memory_order_relaxed);
        shares_[i].end = n * (i + 1) / threads;
      }
      generation_.fetch_add(1, std::memory_order_release);
    }
    if (sleeping_.load() > 0) wake_.notify_all();
    drain(f, 0, threads);
    // Closes the job: a worker that has not begun by now, because the machine is busy, is not waited for.
    std::unique_lock<std::mutex> lock(mutex_);
    task_ = nullptr;
    if (active_.load() == 0) return;
    lock.unlock();
    for (int spin = 0; spin < kSpins && active_.load(std::memory_order_acquire); spin++) relax();
    lock.lock();
    done_.wait(lock, [&] { return active_.load() == 0; });
  }

  // Runs what is left of share `first` and of those after it, in a ring.
  void drain(const std::function<void(int64_t)>& f, int first, int threads) {
    for (int k = 0; k < threads; k++) {
      Share& share = shares_[(first + k) % threads];
      for (int64_t i; (i = share.next.fetch_add(1, std::memory_order_relaxed)) < share.end;) f(i);
    }
  }

  void work(int id) {
    uint64_t seen = 0;
    for (;;) {
      for (int spin = 0; spin < kSpins && generation_.load(std::memory_order_acquire) == seen; spin++) relax();
      std::unique_lock<std::mutex> lock(mutex_);
      sleeping_++;
      wake_.wait(lock, [&] { return generation_.load() != seen; });
      sleeping_--;
      seen = generation_.load();
      if (id >= wanted_ || !task_) continue;
      const std::function<void(int64_t)>* task = task_;
      const int threads = wanted_ + 1;
      active_++;
      lock.unlock();
      drain(*task, id + 1, threads);
      lock.lock();
      if (--active_ == 0) done_.notify_one();
    }
  }

  std::mutex callers_, mutex_;
  std::condition_variable wake_, done_;
  std::atomic<uint64_t> generation_{0};
  std::vector<Share> shares_;
  std::atomic<int> active_{0}, sleeping_{0};
  const std::function<void(int64_t)>* task_ = nullptr;
  int wanted_ = 0, workers_ = 0;
};

}  // namespace a3d
