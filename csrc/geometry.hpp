// Window and stride arithmetic shared by the CPU and the CUDA kernels, and the plain structs handed to them.
//
// Maps have two spatial dimensions here: one-dimensional maps come as [L, 1], maps without space as [1, 1].
// Signals are [N, K, C, h, w] with K seeds that share one mask [N, H, W, ceil(C/8)] or one set of switches
// [N, P, Q, C]. Every size, stride and index has 64 bits.
#pragma once

#include <cstdint>

#ifdef __CUDACC__
#define DESALI_HOST_DEVICE __host__ __device__
#else
#define DESALI_HOST_DEVICE
#endif

namespace desali {

enum class DType : int { f32 = 0, f64 = 1, f16 = 2, bf16 = 3 };

static DESALI_HOST_DEVICE inline int64_t floor_div(int64_t a, int64_t b) {
    int64_t q = a / b;
    return q * b > a ? q - 1 : q;
}

static DESALI_HOST_DEVICE inline int64_t ceil_div(int64_t a, int64_t b) {
    return -floor_div(-a, b);
}

static DESALI_HOST_DEVICE inline int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static DESALI_HOST_DEVICE inline int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}

// One spatial dimension of a pooling or convolution: position p of the upper map and offset k of the window meet
// position p * stride - padding + k * dilation of the map below.
struct Axis {
    int64_t kernel, stride, padding, dilation;

    DESALI_HOST_DEVICE int64_t position(int64_t p, int64_t k) const { return p * stride - padding + k * dilation; }

    // Windows that may reach position y: from first_window(y) to last_window(y).
    DESALI_HOST_DEVICE int64_t first_window(int64_t y) const {
        return ceil_div(y + padding - (kernel - 1) * dilation, stride);
    }
    DESALI_HOST_DEVICE int64_t last_window(int64_t y) const { return floor_div(y + padding, stride); }

    // Offset in window p that lies on position y, or -1.
    DESALI_HOST_DEVICE int64_t offset(int64_t y, int64_t p) const {
        int64_t distance = y + padding - p * stride;
        if (distance < 0 || distance % dilation != 0) return -1;
        int64_t k = distance / dilation;
        return k < kernel ? k : -1;
    }

    // Size of what `count` windows reach.
    DESALI_HOST_DEVICE int64_t spread(int64_t count) const {
        return count > 0 ? (count - 1) * stride + (kernel - 1) * dilation + 1 : 0;
    }
};

// Where the regions of a signal lie in their map: one origin (y, x) for each (n, k), or none (all zero).
struct Origins {
    const int64_t* data;  // [N * K, 2] or null

    DESALI_HOST_DEVICE int64_t y(int64_t nk) const { return data ? data[2 * nk] : 0; }
    DESALI_HOST_DEVICE int64_t x(int64_t nk) const { return data ? data[2 * nk + 1] : 0; }
};

// The inverse ReLU that closes an op: bits of the ReLU's input and the rule's two switches.
struct InverseRelu {
    const uint8_t* mask;  // [N, map_h, map_w, ceil(C/8)], or null: the mask does not take part
    bool backward;        // keep positive values only

    DESALI_HOST_DEVICE bool active() const { return mask != nullptr || backward; }
};

}  // namespace desali
