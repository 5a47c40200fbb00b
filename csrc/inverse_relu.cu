#include "device_check.cuh"
#include "inverse_relu.hpp"

namespace desali {
namespace {

constexpr int threads = 256;

// One thread for each element of the channels-last output, striding over the grid.
template <class T>
__global__ void inverse_relu_kernel(InverseReluArguments a) {
    using W = typename Wide<T>::type;
    const T* signal = static_cast<const T*>(a.signal);
    T* out = static_cast<T*>(a.out);
    int64_t total = a.n * a.k * a.h * a.w * a.c, octets = (a.c + 7) / 8;
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < total; i += (int64_t)gridDim.x * blockDim.x) {
        int64_t c = i % a.c, pixel = i / a.c;
        int64_t x = pixel % a.w, y = pixel / a.w % a.h, nk = pixel / (a.w * a.h), n = nk / a.k;
        int64_t map_y = y + a.origin.y(nk), map_x = x + a.origin.x(nk);
        bool passes = map_y >= 0 && map_y < a.map_h && map_x >= 0 && map_x < a.map_w;
        if (passes && a.relu.mask) {
            uint8_t byte = a.relu.mask[((n * a.map_h + map_y) * a.map_w + map_x) * octets + c / 8];
            passes = byte >> (c % 8) & 1;
        }
        T value = static_cast<T>(0.0f);
        if (passes) {
            T given = signal[n * a.stride_n + nk % a.k * a.stride_k + c * a.stride_c + y * a.stride_y + x * a.stride_x];
            if (!a.relu.backward || !(static_cast<W>(given) <= W(0))) value = given;
        }
        out[i] = value;
    }
}

}  // namespace

void inverse_relu_cuda(const InverseReluArguments& a, void* stream) {
    int64_t total = a.n * a.k * a.h * a.w * a.c;
    if (total == 0) return;
    unsigned blocks = static_cast<unsigned>(least(ceil_div(total, threads), 1 << 20));
    with_type(a.dtype, [&](auto zero) {
        inverse_relu_kernel<decltype(zero)><<<blocks, threads, 0, static_cast<cudaStream_t>(stream)>>>(a);
    });
    check(cudaGetLastError());
}

}  // namespace desali
