// A number of 64 bits that follows from the bytes of a tensor and their order: equal bytes have equal numbers, and a
// change of a single word always changes it.
//
// Every word of 8 bytes (the last one filled with zeros) is mixed with its position, and the results are added up, so
// that neither threads nor vectors change the number.
#pragma once

#include "cpu.hpp"

namespace desali {

struct FingerprintArguments {
    const void* const* data;  // [count]
    const int64_t* bytes;     // [count]
    int64_t count;
    int64_t whole;      // tensors of up to so many bytes are read completely
    int64_t lines;      // of larger ones so many lines of 64 bytes, one at a random place in each of as many parts,
                        // and what the last whole line leaves
    uint64_t* results;  // [count]
};

namespace fingerprints {

constexpr uint64_t place = 0x9E3779B97F4A7C15u;                // 2^64 / golden ratio
constexpr uint64_t first = 0x9E3779B1u, second = 0x85EBCA77u;  // xxHash's primes
constexpr int64_t line = 64;

// What the word at position `index` adds.
inline uint64_t mix(uint64_t word, uint64_t index) {
    uint64_t x = word ^ (index + 1) * place;
    x = (x ^ x >> 32) * first;
    x = (x ^ x >> 29) * second;
    return x ^ x >> 32;
}

// The line that is read of one of `parts` parts of `total` lines; the last part has what the others leave.
inline int64_t chosen_line(int64_t part, int64_t parts, int64_t total) {
    int64_t size = total / parts, begin = part * size;
    uint64_t choices = static_cast<uint64_t>(part + 1 < parts ? size : total - begin);
    return begin + static_cast<int64_t>((mix(0, static_cast<uint64_t>(part)) >> 32) * choices >> 32);
}

}  // namespace fingerprints
}  // namespace desali

DESALI_CPU_LAUNCHER(void, fingerprint, FingerprintArguments)
