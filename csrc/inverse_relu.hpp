// Inverse ReLU: out = p where the ReLU's input was positive (mask) and where p is (backward), zero elsewhere.
#pragma once

#include "cpu.hpp"
#include "geometry.hpp"

namespace desali {

struct InverseReluArguments {
    DType dtype;
    const void* signal;  // [N, K, C, h, w], strides in elements; on the CPU stride_c is 1
    int64_t stride_n, stride_k, stride_c, stride_y, stride_x;
    void* out;  // [N, K, h, w, C] contiguous; may be the signal itself where that has the same layout
    InverseRelu relu;
    Origins origin;  // where [h, w] lies in [map_h, map_w]; what sticks out becomes zero
    int64_t n, k, c, h, w, map_h, map_w;
};

// CUDA; the stream is a cudaStream_t.
void inverse_relu_cuda(const InverseReluArguments&, void* stream);

}  // namespace desali

DESALI_CPU_LAUNCHER(void, inverse_relu, InverseReluArguments)
