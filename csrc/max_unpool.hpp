// Max unpooling in gather form: every element of the map below looks at the windows that cover it, so each is written
// once, without atomics, in a fixed order. Closed by the inverse ReLU of the layer below.
#pragma once

#include "cpu.hpp"
#include "geometry.hpp"

namespace desali {

struct MaxUnpoolArguments {
    DType dtype;
    const void* signal;    // [N, K, h, w, C] contiguous: regions of the pooled map [P, Q]
    const void* switches;  // [N, P, Q, C] of 1, 2 or 4 bytes
    void* out;             // [N, K, out_h, out_w, C] contiguous: windows of the map below
    int switch_bytes;
    bool use_switches;  // false: every window sends to its centre
    bool overwrite;     // true: the last window in row-major order that points here wins; false: the sum
    bool positive_bit;  // only windows whose top bit is set send anything
    InverseRelu relu;
    Origins origin, out_origin;
    int64_t n, k, c, h, w, p, q, out_h, out_w, map_h, map_w;
    Axis y_axis, x_axis;
};

// CUDA; the stream is a cudaStream_t.
void max_unpool_cuda(const MaxUnpoolArguments&, void* stream);

}  // namespace desali

DESALI_CPU_LAUNCHER(void, max_unpool, MaxUnpoolArguments)
