#include "device_check.cuh"
#include "inverse_relu.hpp"

namespace desali {
namespace {

constexpr int threads = 256;

// One thread for V neighbouring channels of the channels-last output, striding over the grid. Index counts the threads'
// work; 32 bits make its divisions cheap.
template <class T, int V, class Index>
__global__ void inverse_relu_kernel(InverseReluArguments a, Index total) {
    const T* signal = static_cast<const T*>(a.signal);
    T* out = static_cast<T*>(a.out);
    Index groups = static_cast<Index>(a.c / V), width = static_cast<Index>(a.w), height = static_cast<Index>(a.h);
    int64_t octets = (a.c + 7) / 8, step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t item = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; item < total; item += step) {
        Index i = static_cast<Index>(item), pixel = i / groups, row = pixel / width;
        Index seed = row / height;
        int64_t c = static_cast<int64_t>(i - pixel * groups) * V, x = pixel - row * width, y = row - seed * height;
        int64_t nk = seed, n = seed / static_cast<Index>(a.k);
        int64_t map_y = y + a.origin.y(nk), map_x = x + a.origin.x(nk);
        unsigned bits = 0;
        if (map_y >= 0 && map_y < a.map_h && map_x >= 0 && map_x < a.map_w) {
            bits = ~0u;
            if (a.relu.mask) {
                uint8_t byte = a.relu.mask[((n * a.map_h + map_y) * a.map_w + map_x) * octets + c / 8];
                bits = byte >> (c % 8);
            }
        }
        int64_t at = n * a.stride_n + (nk - n * a.k) * a.stride_k + c * a.stride_c + y * a.stride_y + x * a.stride_x;
        Pack<T, V> values = *reinterpret_cast<const Pack<T, V>*>(signal + at);
#pragma unroll
        for (int v = 0; v < V; ++v) {
            bool passes = bits >> v & 1;
            if (a.relu.backward) passes = passes && !(widen(values.at[v]) <= 0);
            if (!passes) values.at[v] = narrow<T>(0);
        }
        *reinterpret_cast<Pack<T, V>*>(out + item * V) = values;
    }
}

// 16 bytes of channels at a time.
template <class T>
bool fits(const InverseReluArguments& a) {
    constexpr int V = lanes_of<T>;
    return a.stride_c == 1 && a.c % V == 0 && a.stride_n % V == 0 && a.stride_k % V == 0 && a.stride_y % V == 0 &&
           a.stride_x % V == 0 && aligned(a.signal, 16) && aligned(a.out, 16) &&
           a.n * a.k * a.h * a.w * (a.c / V) < int64_t(1) << 31;
}

}  // namespace

void inverse_relu_cuda(const InverseReluArguments& a, void* stream) {
    int64_t total = a.n * a.k * a.h * a.w * a.c;
    if (total == 0) return;
    with_type(a.dtype, [&](auto zero) {
        using T = decltype(zero);
        constexpr int V = lanes_of<T>;
        if (fits<T>(a))
            launch(inverse_relu_kernel<T, V, uint32_t>, blocks_for(total / V, threads), threads, stream, a,
                   static_cast<uint32_t>(total / V));
        else
            launch(inverse_relu_kernel<T, 1, int64_t>, blocks_for(total, threads), threads, stream, a, total);
    });
}

}  // namespace desali
