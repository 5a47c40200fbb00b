// ReLU (or ReLU clipped at `upper`) with the packed bits of where its input was positive (and below `upper`) or NaN.
#pragma once

#include "cpu.hpp"
#include "geometry.hpp"

namespace desali {

struct ReluArguments {
    DType dtype;
    const void* x;  // [N, C, S], or [N, S, C] if channels_last
    void* y;        // as x
    uint8_t* mask;  // [N, S, ceil(C/8)]
    bool channels_last;
    double upper;  // NaN: none
    int64_t n, c, s;
};

// CUDA; the stream is a cudaStream_t.
void relu_with_mask_cuda(const ReluArguments&, void* stream);

}  // namespace desali

DESALI_CPU_LAUNCHER(void, relu_with_mask, ReluArguments)
