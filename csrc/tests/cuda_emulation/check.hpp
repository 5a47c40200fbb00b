// What the cases share: memory that the kernels can reach, random numbers that every type holds exactly, comparison.
// The same cases drive the emulation and, compiled with nvcc, a GPU.
#pragma once

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "device_check.cuh"

namespace check {

using desali::Axis;
using desali::DType;

// `count` elements, `shift` elements beyond an aligned address, with nothing allocated after the last one.
template <class T>
class Buffer {
  public:
    explicit Buffer(int64_t count, int64_t shift = 0) : count_(count), shift_(shift) {
        size_t bytes = static_cast<size_t>(count + shift) * sizeof(T);
#ifdef DESALI_CUDA_EMULATION
        void* place = nullptr;
        if (posix_memalign(&place, 256, bytes ? bytes : 1) != 0) std::abort();
        base_ = static_cast<T*>(place);
#else
        desali::check(cudaMallocManaged(&base_, bytes ? bytes : 1));
#endif
        std::memset(static_cast<void*>(base_), 0xff, bytes);
    }
    ~Buffer() {
#ifdef DESALI_CUDA_EMULATION
        std::free(base_);
#else
        cudaFree(base_);
#endif
    }
    Buffer(const Buffer&) = delete;
    Buffer& operator=(const Buffer&) = delete;

    T* data() { return base_ + shift_; }
    T& operator[](int64_t i) { return base_[shift_ + i]; }
    int64_t size() const { return count_; }

  private:
    T* base_ = nullptr;
    int64_t count_, shift_;
};

class Random {
  public:
    explicit Random(unsigned seed) : engine_(seed) {}
    int64_t operator()(int64_t low, int64_t high) { return std::uniform_int_distribution<int64_t>(low, high)(engine_); }
    bool chance(int percent) { return (*this)(0, 99) < percent; }
    template <class V>
    V pick(std::initializer_list<V> values) {
        return values.begin()[(*this)(0, static_cast<int64_t>(values.size()) - 1)];
    }

  private:
    std::mt19937 engine_;
};

template <class T>
T number(double value) {
    return static_cast<T>(static_cast<typename desali::Wide<T>::type>(value));
}
template <class T>
double value_of(T number) {
    return static_cast<double>(static_cast<typename desali::Wide<T>::type>(number));
}

// Small integers, so that every sum is exact; a share of zeros, and NaN where the case allows it.
template <class T>
void fill(Buffer<T>& to, Random& random, int reach, int zeros = 30, int nans = 0) {
    for (int64_t i = 0; i < to.size(); ++i) {
        double v = random.chance(zeros) ? 0.0 : static_cast<double>(random(-reach, reach));
        to[i] = number<T>(nans && random.chance(nans) ? std::numeric_limits<double>::quiet_NaN() : v);
    }
}
inline void fill_bytes(Buffer<uint8_t>& to, Random& random) {
    for (int64_t i = 0; i < to.size(); ++i) to[i] = static_cast<uint8_t>(random(0, 255));
}

inline bool bit(Buffer<uint8_t>& mask, int64_t pixel, int64_t channels, int64_t c) {
    return mask[pixel * ((channels + 7) / 8) + c / 8] >> (c % 8) & 1;
}

// Origins of [n * k] regions around a map, some far outside it.
inline void fill_origins(Buffer<int64_t>& to, Random& random, int64_t map_h, int64_t map_w) {
    for (int64_t i = 0; i < to.size(); i += 2) {
        to[i] = random(-5, map_h + 2);
        to[i + 1] = random(-5, map_w + 2);
        if (random.chance(5)) to[i + random(0, 1)] = random.pick<int64_t>({-(int64_t(1) << 40), int64_t(1) << 40});
    }
}

struct Tally {
    int64_t cases = 0, values = 0, failures = 0;
};
inline Tally tally;

inline void finish_device() {
#ifndef DESALI_CUDA_EMULATION
    desali::check(cudaDeviceSynchronize());
#endif
}

// Orders of the fibers and times of the copies take turns from case to case.
inline void next_case() {
#ifdef DESALI_CUDA_EMULATION
    using namespace emulation;
    int64_t turn = tally.cases;
    settings.order = turn % 3 == 0 ? Order::shuffled : turn % 3 == 1 ? Order::reverse : Order::forward;
    settings.copies = turn % 2 ? CopyTime::late : CopyTime::early;
#endif
    ++tally.cases;
}

// `what` names the case once, at its first wrong value.
class Comparison {
  public:
    explicit Comparison(std::string what) : what_(std::move(what)) {}
    void equal(const char* name, int64_t index, double got, double expected, double tolerance = 0) {
        ++tally.values;
        bool same = (std::isnan(got) && std::isnan(expected)) || got == expected ||
                    (tolerance > 0 && std::abs(got - expected) <= tolerance);
        if (same || failed_) return;
        failed_ = true;
        ++tally.failures;
        std::printf("FAILED %s: %s[%lld] is %.9g, expected %.9g\n", what_.c_str(), name, static_cast<long long>(index),
                    got, expected);
    }

  private:
    std::string what_;
    bool failed_ = false;
};

template <class... Values>
std::string text(const char* format, Values... values) {
    char line[512];
    std::snprintf(line, sizeof line, format, values...);
    return line;
}

inline const char* name_of(DType type) {
    static const char* const names[] = {"float32", "float64", "float16", "bfloat16"};
    return names[static_cast<int>(type)];
}
inline std::string name_of(const Axis& axis) {
    return text("kernel %lld stride %lld padding %lld dilation %lld", static_cast<long long>(axis.kernel),
                static_cast<long long>(axis.stride), static_cast<long long>(axis.padding),
                static_cast<long long>(axis.dilation));
}

constexpr DType every_type[] = {DType::f32, DType::f64, DType::f16, DType::bf16};

void relu_cases(int rounds);
void pool_cases(int rounds);
void unpool_cases(int rounds);
void conv_cases(int rounds);

}  // namespace check
