// Max pooling with switches: for each pooled element the row-major window offset of its maximum. The first maximum wins
// and a NaN (the last one) wins over everything, as in PyTorch. A window without a finite element points at its first
// element inside the map.
#pragma once

#include "cpu.hpp"
#include "geometry.hpp"

namespace desali {

struct MaxPoolArguments {
    DType dtype;
    const void* x;   // [N, C, H, W], or [N, H, W, C] if channels_last
    void* y;         // [N, C, P, Q], or [N, P, Q, C] if channels_last
    void* switches;  // [N, P, Q, C] of 1, 2 or 4 bytes; top bit: not y <= 0, if after_relu
    int switch_bytes;
    bool channels_last, after_relu;
    int64_t n, c, h, w, p, q;
    Axis y_axis, x_axis;
};

// CUDA; the stream is a cudaStream_t.
void max_pool_cuda(const MaxPoolArguments&, void* stream);

}  // namespace desali

DESALI_CPU_LAUNCHER(void, max_pool, MaxPoolArguments)
