// Number types of the kernels, 16-byte packs of them, and the rectifier.
#pragma once

#include <cstdint>

#include "geometry.hpp"
#include "platform.cuh"

namespace desali {

// f(T()) with the type that `dtype` names.
template <class F>
void with_type(DType dtype, const F& f) {
    switch (dtype) {
        case DType::f32:
            return f(float());
        case DType::f64:
            return f(double());
        case DType::f16:
            return f(__half());
        case DType::bf16:
            return f(__nv_bfloat16());
    }
}

// f(S()) with the unsigned type of a switch.
template <class F>
void with_switch(int bytes, const F& f) {
    if (bytes == 1) return f(uint8_t());
    if (bytes == 2) return f(uint16_t());
    return f(uint32_t());
}

// The type that a kernel computes in: float for the two small ones.
template <class T>
struct Wide {
    using type = float;
};
template <>
struct Wide<double> {
    using type = double;
};

template <class T>
__device__ __forceinline__ typename Wide<T>::type widen(T value) {
    return static_cast<typename Wide<T>::type>(value);
}

// Rounds to nearest even.
template <class T>
__device__ __forceinline__ T narrow(typename Wide<T>::type value) {
    return static_cast<T>(value);
}

// max(v, 0) that lets NaN through.
template <class W>
__device__ __forceinline__ W rectify(W value) {
    return value <= W(0) ? W(0) : value;
}

// V neighbours, read and written at once.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
    T at[V];
};

// Elements of T in 16 bytes.
template <class T>
constexpr int lanes_of = 16 / static_cast<int>(sizeof(T));

inline bool aligned(const void* address, size_t bytes) {
    return reinterpret_cast<uintptr_t>(address) % bytes == 0;
}

// Sizes that leave room for sums and products of a few of them in 32 bits.
inline bool small(int64_t size) {
    return size >= 0 && size < (int64_t(1) << 30);
}
template <class... Sizes>
bool small(int64_t size, Sizes... others) {
    return small(size) && small(others...);
}
inline bool small(const Axis& axis) {
    return small(axis.kernel, axis.stride, axis.padding, axis.dilation) && small((axis.kernel - 1) * axis.dilation);
}

// Blocks of `threads` for `total` independent items.
inline int64_t blocks_for(int64_t total, int threads) {
    return least(ceil_div(total, threads), most_blocks);
}

}  // namespace desali
