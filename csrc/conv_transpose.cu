// The plain transposed convolution, one thread for each output, and the choice between it and the tiles.
#include <stdexcept>

#include "conv_tile.cuh"

namespace desali {
namespace {

constexpr int threads = 256;

// Any stride, dilation and grouping; reads the weight in either layout.
template <class T>
__global__ void plain_kernel(ConvArguments a) {
    using W = typename Wide<T>::type;
    const T* signal = static_cast<const T*>(a.signal);
    const T* weight = static_cast<const T*>(a.packed);
    const Axis &y_axis = a.y_axis, &x_axis = a.x_axis;
    bool cells = a.way == CudaWay::cells;
    int64_t taps_x = ceil_div(x_axis.kernel, x_axis.stride);
    int64_t total = a.n * a.k * a.out_h * a.out_w * a.i, octets = (a.i + 7) / 8, depth = a.o / a.groups;
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t item = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; item < total; item += step) {
        int64_t i = item % a.i, pixel = item / a.i, first = i / (a.i / a.groups) * depth;
        int64_t x = pixel % a.out_w, y = pixel / a.out_w % a.out_h, nk = pixel / (a.out_w * a.out_h);
        y += a.out_origin.y(nk);
        x += a.out_origin.x(nk);
        W sum = 0;
        if (y >= 0 && y < a.map_h && x >= 0 && x < a.map_w) {
            for (int64_t ky = 0; ky < y_axis.kernel; ++ky) {
                int64_t above = y + y_axis.padding - ky * y_axis.dilation, sy = floor_div(above, y_axis.stride);
                if (sy * y_axis.stride != above) continue;
                sy -= a.origin.y(nk);
                if (sy < 0 || sy >= a.h) continue;
                for (int64_t kx = 0; kx < x_axis.kernel; ++kx) {
                    int64_t left = x + x_axis.padding - kx * x_axis.dilation, sx = floor_div(left, x_axis.stride);
                    if (sx * x_axis.stride != left) continue;
                    sx -= a.origin.x(nk);
                    if (sx < 0 || sx >= a.w) continue;
                    int64_t row = (ky * x_axis.kernel + kx) * a.i + i;
                    if (cells) {
                        int64_t tap = ky / y_axis.stride * taps_x + kx / x_axis.stride;
                        int64_t phase = ky % y_axis.stride * x_axis.stride + kx % x_axis.stride;
                        row = (tap * y_axis.stride * x_axis.stride + phase) * a.i + i;
                    }
                    const T* from = signal + ((nk * a.h + sy) * a.w + sx) * a.o + first;
                    for (int64_t o = 0; o < depth; ++o) sum += widen(from[o]) * widen(weight[row * depth + o]);
                }
            }
            if (a.relu.backward) sum = rectify(sum);
            if (a.relu.mask) {
                int64_t at = ((nk / a.k * a.map_h + y) * a.map_w + x) * octets + i / 8;
                if (!(a.relu.mask[at] >> (i % 8) & 1)) sum = 0;
            }
        }
        static_cast<T*>(a.out)[item] = narrow<T>(sum);
    }
}

}  // namespace

void conv_transpose_cuda(const ConvArguments& a, void* stream) {
    int64_t total = a.n * a.k * a.out_h * a.out_w * a.i;
    if (total == 0) return;
    if (a.way == CudaWay::cells && (a.groups != 1 || a.y_axis.dilation != 1 || a.x_axis.dilation != 1))
        throw std::invalid_argument("a convolution by cells has one group and no dilation");
    if (a.way == CudaWay::sparse) return conv_sparse_cuda(a, stream);
    if (a.way != CudaWay::plain && tiles_fit(a)) return conv_tiles_cuda(a, stream);
    with_type(a.dtype,
              [&](auto zero) { launch(plain_kernel<decltype(zero)>, blocks_for(total, threads), threads, stream, a); });
}

}  // namespace desali
