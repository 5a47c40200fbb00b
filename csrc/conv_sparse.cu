// The transposed convolution of a sparse signal. First a warp for each pixel and group writes the non-zeros as a list,
// in the order of the channels; then a thread for each V neighbouring outputs walks the lists of the pixels that reach
// it. Every sum has one order, so two runs are equal bit by bit; nothing waits for the host.
#include <climits>
#include <stdexcept>

#include "conv_transpose.hpp"
#include "device_check.cuh"

namespace desali {
namespace {

constexpr int threads = 256;

template <class W>
struct alignas(2 * sizeof(W)) Entry {
    W value;
    int32_t channel;  // within the group
};

// Room for every element of each list, so that no sizes have to be added up before the lists are written.
template <class T>
struct Lists {
    Entry<typename Wide<T>::type>* entries;  // [lists, depth]
    int32_t* counts;                         // [lists], a list for each pixel and group
};

template <class T>
Lists<T> lists_of(const ConvArguments& a) {
    auto* entries = static_cast<Entry<typename Wide<T>::type>*>(a.scratch);
    int64_t elements = a.n * a.k * a.h * a.w * a.o;
    static_assert(sizeof(entries[0]) == (sizeof(T) == 8 ? 16 : 8), "sparse_scratch_bytes counts on it");
    return {entries, reinterpret_cast<int32_t*>(entries + elements)};
}

template <class T>
__global__ void compact_kernel(ConvArguments a, Lists<T> lists) {
    using W = typename Wide<T>::type;
    int64_t count = a.n * a.k * a.h * a.w * a.groups, depth = a.o / a.groups, warps = blockDim.x / 32;
    int lane = threadIdx.x % 32;
    for (int64_t list = blockIdx.x * warps + threadIdx.x / 32; list < count; list += gridDim.x * warps) {
        const T* from = static_cast<const T*>(a.signal) + list * depth;
        Entry<W>* to = lists.entries + list * depth;
        int found = 0;
        for (int64_t first = 0; first < depth; first += 32) {
            int64_t o = first + lane;
            W value = o < depth ? widen(from[o]) : W(0);
            unsigned votes = __ballot_sync(0xffffffffu, value != W(0));  // NaN counts
            if (value != W(0)) to[found + __popc(votes & ((1u << lane) - 1))] = {value, static_cast<int32_t>(o)};
            found += __popc(votes);
        }
        if (lane == 0) lists.counts[list] = found;
    }
}

template <class T, int V>
__global__ void gather_kernel(ConvArguments a, Lists<T> lists) {
    using W = typename Wide<T>::type;
    const T* weight = static_cast<const T*>(a.packed);
    const Axis &y_axis = a.y_axis, &x_axis = a.x_axis;
    int64_t depth = a.o / a.groups, inner = a.i / a.groups, across = a.i / V, octets = (a.i + 7) / 8;
    int64_t total = a.n * a.k * a.out_h * a.out_w * across, step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t item = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; item < total; item += step) {
        int64_t pixel = item / across, i = (item - pixel * across) * V, group = i / inner;
        int64_t x = pixel % a.out_w, y = pixel / a.out_w % a.out_h, nk = pixel / (a.out_w * a.out_h);
        y += a.out_origin.y(nk);
        x += a.out_origin.x(nk);
        W sum[V] = {};
        if (y >= 0 && y < a.map_h && x >= 0 && x < a.map_w) {
            int64_t top = a.origin.y(nk), left = a.origin.x(nk);
            int64_t y1 = least(y_axis.last_window(y), top + a.h - 1), x1 = least(x_axis.last_window(x), left + a.w - 1);
            for (int64_t sy = most(y_axis.first_window(y), top); sy <= y1; ++sy) {
                int64_t ky = y_axis.offset(y, sy);
                if (ky < 0) continue;
                for (int64_t sx = most(x_axis.first_window(x), left); sx <= x1; ++sx) {
                    int64_t kx = x_axis.offset(x, sx);
                    if (kx < 0) continue;
                    int64_t list = ((nk * a.h + sy - top) * a.w + sx - left) * a.groups + group;
                    const Entry<W>* from = lists.entries + list * depth;
                    const T* rows = weight + ((ky * x_axis.kernel + kx) * a.o + group * depth) * inner + i % inner;
                    for (int count = lists.counts[list], at = 0; at < count; ++at) {
                        Entry<W> entry = from[at];
                        Pack<T, V> row = *reinterpret_cast<const Pack<T, V>*>(rows + entry.channel * inner);
#pragma unroll
                        for (int v = 0; v < V; ++v) sum[v] += entry.value * widen(row.at[v]);
                    }
                }
            }
            const uint8_t* bits = a.relu.mask;
            if (bits) bits += ((nk / a.k * a.map_h + y) * a.map_w + x) * octets;
#pragma unroll
            for (int v = 0; v < V; ++v) {
                if (a.relu.backward) sum[v] = rectify(sum[v]);
                if (bits && !(bits[(i + v) / 8] >> ((i + v) % 8) & 1)) sum[v] = 0;
            }
        }
        Pack<T, V> result;
#pragma unroll
        for (int v = 0; v < V; ++v) result.at[v] = narrow<T>(sum[v]);
        *reinterpret_cast<Pack<T, V>*>(static_cast<T*>(a.out) + pixel * a.i + i) = result;
    }
}

}  // namespace

void conv_sparse_cuda(const ConvArguments& a, void* stream) {
    if (!a.scratch) throw std::invalid_argument("a sparse convolution needs scratch memory");
    if (a.o / a.groups > INT_MAX) throw std::invalid_argument("a sparse convolution has fewer than 2^31 channels");
    int64_t outputs = a.n * a.k * a.out_h * a.out_w * a.i, lists = a.n * a.k * a.h * a.w * a.groups;
    with_type(a.dtype, [&](auto zero) {
        using T = decltype(zero);
        constexpr int V = lanes_of<T>;
        if (lists > 0) launch(compact_kernel<T>, blocks_for(lists, threads / 32), threads, stream, a, lists_of<T>(a));
        if (a.i / a.groups % V == 0 && aligned(a.packed, 16) && aligned(a.out, 16))
            launch(gather_kernel<T, V>, blocks_for(outputs / V, threads), threads, stream, a, lists_of<T>(a));
        else
            launch(gather_kernel<T, 1>, blocks_for(outputs, threads), threads, stream, a, lists_of<T>(a));
    });
}

}  // namespace desali
