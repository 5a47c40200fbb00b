// Bytes of eight rows, turned so that those of a column lie side by side.
#pragma once

#include <cstdint>

#include "simd.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

DESALI_INLINE void swap_bytes(uint64_t& low, uint64_t& high, int shift, uint64_t part) {
    uint64_t other = ((low >> shift) ^ high) & part;
    high ^= other;
    low ^= other << shift;
}

// Eight bytes of each of eight rows -> eight words, each with one byte of every row.
DESALI_INLINE void turn_octet(uint64_t words[8]) {
    for (int o = 0; o < 4; ++o) swap_bytes(words[o], words[o + 4], 32, 0x00000000ffffffff);
    for (int o = 0; o < 8; o += 4)
        for (int p = o; p < o + 2; ++p) swap_bytes(words[p], words[p + 2], 16, 0x0000ffff0000ffff);
    for (int o = 0; o < 8; o += 2) swap_bytes(words[o], words[o + 1], 8, 0x00ff00ff00ff00ff);
}

// Eight rows of bytes, `width` apart -> eight bytes for each of `count` columns, `stride` apart. Reads up to seven
// bytes more of every row.
DESALI_INLINE void turn(const uint8_t* rows, int64_t width, uint8_t* to, int64_t stride, int64_t count) {
    for (int64_t s = 0; s < count; s += 8) {
        uint64_t words[8];
        for (int o = 0; o < 8; ++o) words[o] = load<uint64_t>(rows + o * width + s);
        turn_octet(words);
        for (int64_t i = 0; i < (count - s < 8 ? count - s : 8); ++i) store(to + (s + i) * stride, words[i]);
    }
}

}  // namespace
}  // namespace DESALI_LEVEL
}  // namespace desali
