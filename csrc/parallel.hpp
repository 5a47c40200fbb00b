// Loops over independent tasks. The split never changes what a task computes, so results do not depend on the threads.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <new>

#include "simd.hpp"

#ifdef __SANITIZE_THREAD__
#include <atomic>
#include <thread>
#include <vector>
#elif defined(_OPENMP)
#include <omp.h>
#endif

namespace desali {
namespace DESALI_LEVEL {
namespace {

#ifdef __SANITIZE_THREAD__
// ThreadSanitizer does not see the barriers of libgomp: there the tasks run on threads that it does see.
inline thread_local bool on_threads_now = false;

template <class F>
void on_threads(int64_t tasks, const F& f) {
    std::atomic<int64_t> next{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            on_threads_now = true;
            for (int64_t i = next++; i < tasks; i = next++) f(i);
        });
    for (std::thread& one : threads) one.join();
}
#endif

// f(task, scratch of its thread) for every task; `cost` is a rough count of the elements that all tasks touch.
template <class F>
DESALI_INLINE void parallel_for(int64_t tasks, [[maybe_unused]] int64_t cost, const F& f) {
#ifdef __SANITIZE_THREAD__
    if (tasks > 1 && cost > 64 && !on_threads_now) return on_threads(tasks, f);
#elif defined(_OPENMP)
    if (tasks > 1 && cost > 16384 && omp_get_max_threads() > 1 && !omp_in_parallel()) {
#pragma omp parallel for schedule(dynamic, 1)
        for (int64_t i = 0; i < tasks; ++i) f(i);
        return;
    }
#endif
    for (int64_t i = 0; i < tasks; ++i) f(i);
}

// The same with contiguous runs of tasks, f(begin, end), for loops whose single task is small.
template <class F>
DESALI_INLINE void parallel_ranges(int64_t tasks, [[maybe_unused]] int64_t cost, const F& f) {
#ifdef __SANITIZE_THREAD__
    if (tasks > 1 && cost > 64 && !on_threads_now) {
        int64_t parts = tasks < 16 ? tasks : 16;
        return on_threads(parts, [&](int64_t i) { f(tasks * i / parts, tasks * (i + 1) / parts); });
    }
#elif defined(_OPENMP)
    int64_t threads = omp_get_max_threads();
    if (tasks > 1 && cost > 16384 && threads > 1 && !omp_in_parallel()) {
        int64_t parts = tasks < threads * 4 ? tasks : threads * 4;
#pragma omp parallel for schedule(dynamic, 1)
        for (int64_t i = 0; i < parts; ++i) f(tasks * i / parts, tasks * (i + 1) / parts);
        return;
    }
#endif
    if (tasks > 0) f(0, tasks);
}

// Uninitialised, cache-aligned scratch memory.
template <class T>
class Scratch {
  public:
    explicit Scratch(int64_t count) {
        size_t bytes = ((count > 0 ? (size_t)count : 1) * sizeof(T) + 63) / 64 * 64 + 64;
        data_ = static_cast<T*>(::operator new(bytes, alignment));  // Windows has no aligned_alloc
    }
    ~Scratch() { ::operator delete(data_, alignment); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;
    T* get() const { return data_; }
    T& operator[](int64_t i) const { return data_[i]; }

  private:
    static constexpr std::align_val_t alignment{64};
    T* data_;
};

}  // namespace
}  // namespace DESALI_LEVEL
}  // namespace desali
