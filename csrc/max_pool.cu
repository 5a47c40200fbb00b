#include <limits>

#include "max_pool.hpp"
#include "pooling.cuh"

namespace desali {
namespace {

constexpr int threads = 256;
constexpr int tile_side = 32;

// The greatest so far: the first one wins, and the last NaN.
template <class T, class S>
struct Best {
    using W = typename Wide<T>::type;
    static constexpr W lowest = -std::numeric_limits<W>::infinity();
    W value;
    S code;

    __device__ __forceinline__ void start(S first) {
        value = lowest;
        code = first;
    }
    __device__ __forceinline__ void see(T given, S here) {
        W v = widen(given);
        if (v > value || v != v) {
            value = v;
            code = here;
        }
    }
    __device__ __forceinline__ S finish(bool after_relu) const {
        constexpr S top = static_cast<S>(S(1) << (8 * sizeof(S) - 1));
        return after_relu && !(value <= W(0)) ? static_cast<S>(code | top) : code;
    }
};

// Channels-last: one thread for V neighbouring channels of a pooled pixel.
template <class T, class S, int V, class Index>
__global__ void channels_last_kernel(MaxPoolArguments a, PoolAxis<Index> y_axis, PoolAxis<Index> x_axis, Index total) {
    const T* x = static_cast<const T*>(a.x);
    Index groups = static_cast<Index>(a.c / V), across = static_cast<Index>(a.q), down = static_cast<Index>(a.p);
    Index height = static_cast<Index>(a.h), width = static_cast<Index>(a.w);
    int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t item = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; item < total; item += step) {
        Index i = static_cast<Index>(item), pixel = i / groups, c = (i - pixel * groups) * V;
        Index row = pixel / across, q = pixel - row * across, n = row / down, p = row - n * down;
        Index y0, y1, x0, x1;
        y_axis.valid(p, height, y0, y1);
        x_axis.valid(q, width, x0, x1);
        Best<T, S> best[V];
#pragma unroll
        for (int v = 0; v < V; ++v) best[v].start(static_cast<S>(y0 * x_axis.kernel + x0));
        for (Index k = y0; k < y1; ++k) {
            int64_t map_row =
                static_cast<int64_t>(n) * height + p * y_axis.stride - y_axis.padding + k * y_axis.dilation;
            for (Index l = x0; l < x1; ++l) {
                int64_t at = map_row * width + q * x_axis.stride - x_axis.padding + l * x_axis.dilation;
                Pack<T, V> values = *reinterpret_cast<const Pack<T, V>*>(x + at * a.c + c);
#pragma unroll
                for (int v = 0; v < V; ++v) best[v].see(values.at[v], static_cast<S>(k * x_axis.kernel + l));
            }
        }
        Pack<T, V> values;
        Pack<S, V> codes;
#pragma unroll
        for (int v = 0; v < V; ++v) {
            values.at[v] = narrow<T>(best[v].value);
            codes.at[v] = best[v].finish(a.after_relu);
        }
        reinterpret_cast<Pack<T, V>*>(a.y)[item] = values;
        reinterpret_cast<Pack<S, V>*>(a.switches)[item] = codes;
    }
}

// Switches of 32 channels of 32 pooled pixels, turned to channels-last; one column more keeps the banks apart.
template <class S>
struct SwitchTile {
    S code[tile_side][tile_side + 1];
};

// Planes: lanes go along the pooled pixels of a channel; the switches leave through shared memory.
template <class T, class S, class Index>
__global__ void channels_first_kernel(MaxPoolArguments a, PoolAxis<Index> y_axis, PoolAxis<Index> x_axis) {
    using Tile = SwitchTile<S>;
    DESALI_SHARED(Tile, tile);
    int64_t pixels = a.p * a.q, along = ceil_div(pixels, tile_side), across = ceil_div(a.c, tile_side);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int64_t block = blockIdx.x; block < a.n * across * along; block += gridDim.x) {
        int64_t n = block / (across * along), c0 = block / along % across * tile_side, s0 = block % along * tile_side;
        if (s0 + lane < pixels) {
            Index s = static_cast<Index>(s0 + lane), p = s / static_cast<Index>(a.q);
            Index q = s - p * static_cast<Index>(a.q), y0, y1, x0, x1;
            y_axis.valid(p, static_cast<Index>(a.h), y0, y1);
            x_axis.valid(q, static_cast<Index>(a.w), x0, x1);
            for (int c = warp; c < tile_side && c0 + c < a.c; c += threads / 32) {
                const T* plane = static_cast<const T*>(a.x) + (n * a.c + c0 + c) * a.h * a.w;
                Best<T, S> best;
                best.start(static_cast<S>(y0 * x_axis.kernel + x0));
                for (Index k = y0; k < y1; ++k) {
                    const T* row = plane + (p * y_axis.stride - y_axis.padding + k * y_axis.dilation) * a.w;
                    for (Index l = x0; l < x1; ++l)
                        best.see(row[q * x_axis.stride - x_axis.padding + l * x_axis.dilation],
                                 static_cast<S>(k * x_axis.kernel + l));
                }
                static_cast<T*>(a.y)[(n * a.c + c0 + c) * pixels + s] = narrow<T>(best.value);
                tile.code[lane][c] = best.finish(a.after_relu);
            }
        }
        __syncthreads();
        for (int i = threadIdx.x; i < tile_side * tile_side; i += threads) {
            int64_t s = s0 + i / tile_side, c = c0 + i % tile_side;
            if (s < pixels && c < a.c)
                static_cast<S*>(a.switches)[(n * pixels + s) * a.c + c] = tile.code[i / tile_side][i % tile_side];
        }
        __syncthreads();
    }
}

bool fits_32_bits(const MaxPoolArguments& a, int lanes) {
    return small(a.h, a.w, a.c, a.p, a.q) && small(a.p * a.q) && small(a.y_axis) && small(a.x_axis) &&
           small(a.n * a.p * a.q * a.c / lanes) && small(a.p * a.y_axis.stride) && small(a.q * a.x_axis.stride);
}

template <class T, class S>
void run(const MaxPoolArguments& a, void* stream) {
    constexpr int V = lanes_of<T>;
    int64_t total = a.n * a.p * a.q * a.c;
    bool few = fits_32_bits(a, V);
    PoolAxis<int> y32(a.y_axis), x32(a.x_axis);
    PoolAxis<int64_t> y64(a.y_axis), x64(a.x_axis);
    if (a.channels_last) {
        bool packs = a.c % V == 0 && aligned(a.x, 16) && aligned(a.y, 16) && aligned(a.switches, V * sizeof(S));
        if (few && packs)
            launch(channels_last_kernel<T, S, V, int>, blocks_for(total / V, threads), threads, stream, a, y32, x32,
                   static_cast<int>(total / V));
        else
            launch(channels_last_kernel<T, S, 1, int64_t>, blocks_for(total, threads), threads, stream, a, y64, x64,
                   total);
        return;
    }
    int64_t tiles = a.n * ceil_div(a.p * a.q, tile_side) * ceil_div(a.c, tile_side);
    if (few)
        launch(channels_first_kernel<T, S, int>, least(tiles, most_blocks), threads, stream, a, y32, x32);
    else
        launch(channels_first_kernel<T, S, int64_t>, least(tiles, most_blocks), threads, stream, a, y64, x64);
}

}  // namespace

void max_pool_cuda(const MaxPoolArguments& a, void* stream) {
    if (a.n * a.c * a.p * a.q == 0) return;
    with_type(a.dtype, [&](auto zero) {
        with_switch(a.switch_bytes, [&](auto code) { run<decltype(zero), decltype(code)>(a, stream); });
    });
}

}  // namespace desali
