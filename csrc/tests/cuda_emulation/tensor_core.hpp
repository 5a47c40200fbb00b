// The instructions of tensor_core.cuh in plain C++, from the tables of the PTX ISA. They are written in terms of matrix
// coordinates, not of what the kernels expect, so that a wrong layout in a kernel gives wrong numbers here too.
#pragma once

#include <cstring>

#include "emulation.hpp"

namespace desali {

inline void copy_async(void* shared, const void* from, int bytes) {
    if (bytes < 0 || bytes > 16) emulation::fail("cp.async of a size outside 0 to 16");
    if (reinterpret_cast<uintptr_t>(shared) % 16 || reinterpret_cast<uintptr_t>(from) % 16)
        emulation::fail("cp.async needs addresses that are multiples of 16");
    emulation::Block::current().copy({shared, from, bytes});
}

inline void commit_copies() {
    emulation::Block::current().commit();
}

template <int Pending>
void wait_copies() {
    emulation::Block::current().wait_copies(Pending);
}

inline void load_matrices(uint32_t (&words)[4], const void* row) {
    if (reinterpret_cast<uintptr_t>(row) % 16) emulation::fail("ldmatrix needs rows that are multiples of 16");
    int lane = threadIdx.x % emulation::warp_size;
    const void* const* rows = emulation::Block::current().exchange<const void*>(1, row);
    for (int i = 0; i < 4; ++i)
        std::memcpy(&words[i], static_cast<const char*>(rows[8 * i + lane / 4]) + 4 * (lane % 4), 4);
}

inline uint32_t round_tf32(uint32_t bits) {
    if ((bits & 0x7f800000) == 0x7f800000) return bits;
    return (bits + 0x1000) & 0xffffe000;  // the sign bit stays: magnitudes round, ties away from zero
}

namespace fragments {

struct Given {
    uint32_t a[4], b[2];
};

// Element i of a fragment as a number; TF32 ignores the low 13 bits.
inline float number(const uint32_t* words, int i, float) {
    uint32_t bits = words[i] & 0xffffe000;
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}
template <class T>
float number(const uint32_t* words, int i, T) {
    T value;
    value.bits = static_cast<uint16_t>(words[i / 2] >> (16 * (i % 2)));
    return value;
}

// A, 16 x k: which lane holds (row, column), and as its which element. m16n8k8 .tf32: row is g for a0, a2 and g + 8 for
// a1, a3; column is t for a0, a1 and t + 4 for a2, a3. m16n8k16: row is g for a0, a1, a4, a5, else g + 8; column is
// 2t + (i & 1), plus 8 for i >= 4.
struct Where {
    int lane, element;
};
inline Where a_at(int row, int column, bool tf32) {
    int g = row % 8;
    if (tf32) return {4 * g + column % 4, row / 8 + 2 * (column / 4)};
    return {4 * g + column % 8 / 2, column % 2 + 2 * (row / 8) + 4 * (column / 8)};
}
// B, k x 8. m16n8k8 .tf32: row t for b0 and t + 4 for b1, column g. m16n8k16: row 2t + (i & 1), plus 8 for i >= 2.
inline Where b_at(int row, int column, bool tf32) {
    if (tf32) return {4 * column + row % 4, row / 4};
    return {4 * column + row % 8 / 2, row % 2 + 2 * (row / 8)};
}

}  // namespace fragments

// Accumulators: row g for c0, c1 and g + 8 for c2, c3; column 2t + (i & 1).
template <class T>
void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    constexpr bool tf32 = sizeof(T) == 4;
    constexpr int depth = tf32 ? 8 : 16;
    fragments::Given mine{{a[0], a[1], a[2], a[3]}, {b0, b1}};
    const fragments::Given* given = emulation::Block::current().exchange(2, mine);
    int lane = threadIdx.x % emulation::warp_size;
    for (int i = 0; i < 4; ++i) {
        int row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
        float sum = c[i];
        for (int k = 0; k < depth; ++k) {
            fragments::Where at_a = fragments::a_at(row, k, tf32), at_b = fragments::b_at(k, column, tf32);
            sum += fragments::number(given[at_a.lane].a, at_a.element, T()) *
                   fragments::number(given[at_b.lane].b, at_b.element, T());
        }
        c[i] = sum;
    }
}

}  // namespace desali
