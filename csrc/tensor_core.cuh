// Warp-level instructions of sm_80 and later: asynchronous copies to shared memory, matrix loads and products.
// Fragment layouts: PTX ISA, "Matrix Fragments for mma.m16n8k8 / mma.m16n8k16" and "ldmatrix".
#pragma once

#include <cstdint>

#include "device_check.cuh"

namespace desali {

// A row of 32 bytes of each operand goes into one product: 8 TF32 or 16 half numbers.
constexpr int slice_bytes = 32;

#ifndef DESALI_CUDA_EMULATION

__device__ __forceinline__ uint32_t shared_address(const void* shared) {
    return static_cast<uint32_t>(__cvta_generic_to_shared(shared));
}

// 16 bytes to shared memory, the first `bytes` from `from`, the others zero.
__device__ __forceinline__ void copy_async(void* shared, const void* from, int bytes) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)), "l"(from), "r"(bytes)
                 : "memory");
}

__device__ __forceinline__ void commit_copies() {
    asm volatile("cp.async.commit_group;\n" ::: "memory");
}

// Waits until at most `Pending` of this thread's groups are under way.
template <int Pending>
__device__ __forceinline__ void wait_copies() {
    asm volatile("cp.async.wait_group %0;\n" ::"n"(Pending) : "memory");
}

// Four matrices of 8 rows of 16 bytes; lanes 8i to 8i + 7 give the rows of matrix i. Register i of lane l gets the
// 32-bit word l % 4 of row l / 4 of matrix i.
__device__ __forceinline__ void load_matrices(uint32_t (&words)[4], const void* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
                 : "=r"(words[0]), "=r"(words[1]), "=r"(words[2]), "=r"(words[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// To the nearest TF32, ties away from zero.
__device__ __forceinline__ uint32_t round_tf32(uint32_t bits) {
    uint32_t rounded;
    asm("cvt.rna.tf32.f32 %0, %1;\n" : "=r"(rounded) : "f"(__uint_as_float(bits)));
    return rounded;
}

#define DESALI_MMA(shape_and_types)                                                   \
    asm volatile("mma.sync.aligned." shape_and_types                                  \
                 " {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n" \
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])                     \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1))

// c += a * b, 16 x 8 from 16 x k and k x 8. With g = lane / 4 and t = lane % 4, c holds (g, 2t), (g, 2t + 1),
// (g + 8, 2t), (g + 8, 2t + 1).
template <class T>
__device__ __forceinline__ void multiply_add(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1);

template <>
__device__ __forceinline__ void multiply_add<float>(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    DESALI_MMA("m16n8k8.row.col.f32.tf32.tf32.f32");
}
template <>
__device__ __forceinline__ void multiply_add<__half>(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    DESALI_MMA("m16n8k16.row.col.f32.f16.f16.f32");
}
template <>
__device__ __forceinline__ void multiply_add<__nv_bfloat16>(float (&c)[4], const uint32_t (&a)[4], uint32_t b0,
                                                            uint32_t b1) {
    DESALI_MMA("m16n8k16.row.col.f32.bf16.bf16.f32");
}

#undef DESALI_MMA

#endif

}  // namespace desali

#ifdef DESALI_CUDA_EMULATION
#include "tests/cuda_emulation/tensor_core.hpp"
#endif
