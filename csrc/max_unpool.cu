#include "max_unpool.hpp"
#include "pooling.cuh"

namespace desali {
namespace {

constexpr int threads = 256;

// One thread for V neighbouring channels of an element of the map below; it looks at the windows that cover it, in
// row-major order.
template <class T, class S, int V, class Index>
__global__ void max_unpool_kernel(MaxUnpoolArguments a, PoolAxis<Index> y_axis, PoolAxis<Index> x_axis, Index total) {
    using W = typename Wide<T>::type;
    constexpr S top = static_cast<S>(S(1) << (8 * sizeof(S) - 1));
    const S relevant = a.positive_bit ? static_cast<S>(~S(0)) : static_cast<S>(top - 1);
    const S* switches = static_cast<const S*>(a.switches);
    Index groups = static_cast<Index>(a.c / V), width = static_cast<Index>(a.out_w);
    Index height = static_cast<Index>(a.out_h), centre_y = (y_axis.kernel + 1) / 2 - 1;
    Index centre_x = (x_axis.kernel + 1) / 2 - 1;
    int64_t octets = (a.c + 7) / 8, step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t item = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; item < total; item += step) {
        Index i = static_cast<Index>(item), pixel = i / groups, c = (i - pixel * groups) * V;
        Index row = pixel / width, seed = row / height;
        int64_t nk = seed, n = seed / static_cast<Index>(a.k);
        int64_t map_y = row - seed * height + a.out_origin.y(nk), map_x = pixel - row * width + a.out_origin.x(nk);
        W sum[V];
#pragma unroll
        for (int v = 0; v < V; ++v) sum[v] = 0;
        if (map_y >= 0 && map_y < a.map_h && map_x >= 0 && map_x < a.map_w) {
            Index y = static_cast<Index>(map_y), x = static_cast<Index>(map_x), p0, p1, q0, q1;
            y_axis.cover(y, static_cast<Index>(a.p), p0, p1);
            x_axis.cover(x, static_cast<Index>(a.q), q0, q1);
            int64_t top_y = a.origin.y(nk), left_x = a.origin.x(nk);
            for (Index p = p0; p <= p1; ++p) {
                Index k = y_axis.offset(y, p);
                int64_t sy = p - top_y;
                bool row_given = sy >= 0 && sy < a.h;
                if (k < 0 || (!row_given && !a.overwrite) || (!a.use_switches && k != centre_y)) continue;
                for (Index q = q0; q <= q1; ++q) {
                    Index l = x_axis.offset(x, q);
                    int64_t sx = q - left_x;
                    bool given = row_given && sx >= 0 && sx < a.w;
                    if (l < 0 || (!given && !a.overwrite) || (!a.use_switches && l != centre_x)) continue;
                    Pack<T, V> values{};
                    if (given)
                        values = *reinterpret_cast<const Pack<T, V>*>(static_cast<const T*>(a.signal) +
                                                                      ((nk * a.h + sy) * a.w + sx) * a.c + c);
                    Pack<S, V> codes{};
                    if (a.use_switches)
                        codes = *reinterpret_cast<const Pack<S, V>*>(switches + ((n * a.p + p) * a.q + q) * a.c + c);
                    S code = static_cast<S>(k * x_axis.kernel + l);
                    if (a.positive_bit) code = static_cast<S>(code | top);
#pragma unroll
                    for (int v = 0; v < V; ++v) {
                        if (a.use_switches && static_cast<S>(codes.at[v] & relevant) != code) continue;
                        W value = widen(values.at[v]);
                        sum[v] = a.overwrite ? value : sum[v] + value;
                    }
                }
            }
            unsigned bits = ~0u;
            if (a.relu.mask) bits = a.relu.mask[((n * a.map_h + map_y) * a.map_w + map_x) * octets + c / 8] >> (c % 8);
#pragma unroll
            for (int v = 0; v < V; ++v) {
                if (a.relu.backward) sum[v] = rectify(sum[v]);
                if (!(bits >> v & 1)) sum[v] = 0;
            }
        }
        Pack<T, V> out;
#pragma unroll
        for (int v = 0; v < V; ++v) out.at[v] = narrow<T>(sum[v]);
        reinterpret_cast<Pack<T, V>*>(a.out)[item] = out;
    }
}

bool fits_32_bits(const MaxUnpoolArguments& a, int lanes) {
    return small(a.c, a.p, a.q, a.out_h, a.out_w) && small(a.map_h, a.map_w) && small(a.y_axis) && small(a.x_axis) &&
           small(a.p * a.y_axis.stride) && small(a.q * a.x_axis.stride) &&
           small(a.n * a.k * a.out_h * a.out_w * a.c / lanes);
}

template <class T, class S>
void run(const MaxUnpoolArguments& a, void* stream) {
    constexpr int V = lanes_of<T>;
    int64_t total = a.n * a.k * a.out_h * a.out_w * a.c;
    bool packs = a.c % V == 0 && aligned(a.signal, 16) && aligned(a.out, 16) && aligned(a.switches, V * sizeof(S));
    if (packs && fits_32_bits(a, V))
        launch(max_unpool_kernel<T, S, V, int>, blocks_for(total / V, threads), threads, stream, a,
               PoolAxis<int>(a.y_axis), PoolAxis<int>(a.x_axis), static_cast<int>(total / V));
    else
        launch(max_unpool_kernel<T, S, 1, int64_t>, blocks_for(total, threads), threads, stream, a,
               PoolAxis<int64_t>(a.y_axis), PoolAxis<int64_t>(a.x_axis), total);
}

}  // namespace

void max_unpool_cuda(const MaxUnpoolArguments& a, void* stream) {
    if (a.n * a.k * a.out_h * a.out_w * a.c == 0) return;
    with_type(a.dtype, [&](auto zero) {
        with_switch(a.switch_bytes, [&](auto code) { run<decltype(zero), decltype(code)>(a, stream); });
    });
}

}  // namespace desali
