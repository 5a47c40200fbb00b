// What the kernels need from CUDA: built-in names, launches and the two small float types. With
// DESALI_CUDA_EMULATION the same sources are C++ for the host (tests/cuda_emulation), where each thread is a fiber.
#pragma once

#ifdef DESALI_CUDA_EMULATION

#include "tests/cuda_emulation/emulation.hpp"

#else

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

// A kernel's shared memory: one struct without constructors.
#define DESALI_SHARED(type, name) __shared__ type name

namespace desali {

constexpr int64_t most_blocks = 1 << 20;  // kernels stride over the grid beyond

inline void check(cudaError_t status) {
    if (status != cudaSuccess) throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(status));
}

template <class... Parameters, class... Arguments>
void launch(void (*kernel)(Parameters...), int64_t blocks, int threads, void* stream, const Arguments&... arguments) {
    kernel<<<static_cast<unsigned>(blocks), threads, 0, static_cast<cudaStream_t>(stream)>>>(arguments...);
    check(cudaGetLastError());
}

}  // namespace desali

#endif
