// CUDA's names for the host compiler: qualifiers, barriers, shuffles, launches, half and bfloat16.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "block.hpp"

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define DESALI_SHARED(type, name) type& name = emulation::Block::current().shared<type>()

inline void __syncthreads() {
    emulation::Block::current().barrier();
}

// Bit l: what lane l votes. Every lane of the warp has to come.
inline unsigned __ballot_sync(unsigned lanes, bool vote) {
    if (lanes != 0xffffffffu) emulation::fail("a vote of some lanes is not emulated");
    const bool* votes = emulation::Block::current().exchange(3, vote);
    unsigned bits = 0;
    for (int lane = 0; lane < emulation::warp_size; ++lane) bits |= static_cast<unsigned>(votes[lane]) << lane;
    return bits;
}

inline int __popc(unsigned bits) {
    return __builtin_popcount(bits);
}

namespace emulation {

// Bits of a float rounded to nearest even, with `mantissa` explicit bits and the exponents of half (or of float).
inline uint16_t round_to_16_bits(float value, bool half) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    uint16_t sign = static_cast<uint16_t>(bits >> 16 & 0x8000);
    uint32_t magnitude = bits & 0x7fffffff;
    if (!half) {
        if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7fff);
        return static_cast<uint16_t>(sign | (magnitude + 0x7fff + (magnitude >> 16 & 1)) >> 16);
    }
    if (magnitude > 0x7f800000) return static_cast<uint16_t>(sign | 0x7fff);
    if (magnitude >= 0x477ff000) return static_cast<uint16_t>(sign | 0x7c00);  // 65520 and more
    if (magnitude < 0x38800000) {                                              // below 2^-14: subnormal
        float unit = 5.9604644775390625e-08f, scaled;
        std::memcpy(&scaled, &magnitude, 4);
        float steps = scaled / unit;  // exact: a power of two
        uint32_t whole = static_cast<uint32_t>(steps);
        float rest = steps - static_cast<float>(whole);
        if (rest > 0.5f || (rest == 0.5f && (whole & 1))) ++whole;
        return static_cast<uint16_t>(sign | whole);
    }
    uint32_t rebased = magnitude - 0x38000000;
    return static_cast<uint16_t>(sign | (rebased + 0xfff + (rebased >> 13 & 1)) >> 13);
}

inline float float_of_half(uint16_t h) {
    uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
    uint32_t bits;
    if (exponent == 0) {
        float value = static_cast<float>(mantissa) * 5.9604644775390625e-08f;
        return sign ? -value : value;
    }
    if (exponent == 31)
        bits = sign | 0x7f800000 | mantissa << 13;
    else
        bits = sign | (exponent + 112) << 23 | mantissa << 13;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

}  // namespace emulation

struct __half {
    uint16_t bits = 0;
    __half() = default;
    __half(float value) : bits(emulation::round_to_16_bits(value, true)) {}
    operator float() const { return emulation::float_of_half(bits); }
};

struct __nv_bfloat16 {
    uint16_t bits = 0;
    __nv_bfloat16() = default;
    __nv_bfloat16(float value) : bits(emulation::round_to_16_bits(value, false)) {}
    operator float() const {
        uint32_t wide = static_cast<uint32_t>(bits) << 16;
        float value;
        std::memcpy(&value, &wide, 4);
        return value;
    }
};

namespace desali {

constexpr int64_t most_blocks = 3;  // few, so that kernels have to stride over the grid

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), int64_t blocks, int threads, void*, const Arguments&... arguments) {
    gridDim = {static_cast<unsigned>(blocks), 1, 1};
    blockDim = {static_cast<unsigned>(threads), 1, 1};
    for (unsigned b = 0; b < gridDim.x; ++b) {
        blockIdx = {emulation::settings.order == emulation::Order::reverse ? gridDim.x - 1 - b : b, 0, 0};
        emulation::Block::current().run(threads, [&] { kernel(arguments...); });
    }
}

}  // namespace desali
