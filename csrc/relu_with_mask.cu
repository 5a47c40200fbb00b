#include "device_check.cuh"
#include "relu_with_mask.hpp"

namespace desali {
namespace {

constexpr int threads = 256;

template <class T>
struct Rectifier {
    using W = typename Wide<T>::type;
    W upper;

    // The rectified value; sets bit `index` of the byte where the input lies between zero and the limit.
    __device__ __forceinline__ T operator()(T given, int index, unsigned& byte) const {
        W v = widen(given);
        byte |= static_cast<unsigned>(!(v <= W(0)) && !(v >= upper)) << index;
        v = rectify(v);
        return v >= upper ? narrow<T>(upper) : narrow<T>(v);
    }
};

// [N, S, C]: one thread for each mask byte. Whole: channels come in eights and 16 bytes at a time.
template <class T, bool Whole>
__global__ void channels_last_kernel(ReluArguments a, Rectifier<T> rectified) {
    constexpr int V = lanes_of<T>;
    const T* x = static_cast<const T*>(a.x);
    T* y = static_cast<T*>(a.y);
    int64_t octets = (a.c + 7) / 8, total = a.n * a.s * octets;
    for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < total; i += (int64_t)gridDim.x * blockDim.x) {
        unsigned byte = 0;
        if constexpr (Whole) {
            const Pack<T, V>* from = reinterpret_cast<const Pack<T, V>*>(x + 8 * i);
            Pack<T, V>* to = reinterpret_cast<Pack<T, V>*>(y + 8 * i);
#pragma unroll
            for (int part = 0; part < 8 / V; ++part) {
                Pack<T, V> values = from[part];
#pragma unroll
                for (int v = 0; v < V; ++v) values.at[v] = rectified(values.at[v], part * V + v, byte);
                to[part] = values;
            }
        } else {
            int64_t first = i % octets * 8, at = i / octets * a.c + first;
            int count = static_cast<int>(least(8, a.c - first));
            for (int r = 0; r < count; ++r) y[at + r] = rectified(x[at + r], r, byte);
        }
        a.mask[i] = static_cast<uint8_t>(byte);
    }
}

// A block's mask bytes of 32 * V pixels and 64 channels, turned from rows of pixels to rows of channels.
template <int V>
struct MaskTile {
    uint8_t bytes[32 * V][8];
};

// [N, C, S]: a warp takes eight channels (rows) of 32 * V pixels, a thread V pixels, which give V mask bytes.
template <class T, int V>
__global__ void channels_first_kernel(ReluArguments a, Rectifier<T> rectified) {
    using Tile = MaskTile<V>;
    DESALI_SHARED(Tile, tile);
    constexpr int pixels = 32 * V;
    int64_t octets = (a.c + 7) / 8, across = ceil_div(octets, 8), along = ceil_div(a.s, pixels);
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    for (int64_t block = blockIdx.x; block < a.n * along * across; block += gridDim.x) {
        int64_t n = block / (along * across), s0 = block / across % along * pixels, octet0 = block % across * 8;
        int64_t octet = octet0 + warp, s = s0 + lane * V;
        if (octet < octets && s < a.s) {
            int rows = static_cast<int>(least(8, a.c - 8 * octet));
            unsigned bytes[V] = {};
            for (int r = 0; r < rows; ++r) {
                int64_t at = (n * a.c + 8 * octet + r) * a.s + s;
                Pack<T, V> values = *reinterpret_cast<const Pack<T, V>*>(static_cast<const T*>(a.x) + at);
#pragma unroll
                for (int v = 0; v < V; ++v) values.at[v] = rectified(values.at[v], r, bytes[v]);
                *reinterpret_cast<Pack<T, V>*>(static_cast<T*>(a.y) + at) = values;
            }
#pragma unroll
            for (int v = 0; v < V; ++v) tile.bytes[lane * V + v][warp] = static_cast<uint8_t>(bytes[v]);
        }
        __syncthreads();
        for (int i = threadIdx.x; i < pixels * 8; i += threads) {
            int64_t pixel = s0 + i / 8, to = octet0 + i % 8;
            if (pixel < a.s && to < octets) a.mask[(n * a.s + pixel) * octets + to] = tile.bytes[i / 8][i % 8];
        }
        __syncthreads();
    }
}

template <class T>
void run(const ReluArguments& a, void* stream) {
    constexpr int V = lanes_of<T>;
    Rectifier<T> rectified{widen(static_cast<T>(static_cast<typename Wide<T>::type>(a.upper)))};
    bool packs = aligned(a.x, 16) && aligned(a.y, 16);
    int64_t octets = (a.c + 7) / 8;
    if (a.channels_last) {
        auto kernel = packs && a.c % 8 == 0 ? channels_last_kernel<T, true> : channels_last_kernel<T, false>;
        launch(kernel, blocks_for(a.n * a.s * octets, threads), threads, stream, a, rectified);
        return;
    }
    bool wide = packs && a.s % V == 0;
    int64_t tiles = a.n * ceil_div(a.s, 32 * (wide ? V : 1)) * ceil_div(octets, 8);
    auto kernel = wide ? channels_first_kernel<T, V> : channels_first_kernel<T, 1>;
    launch(kernel, least(tiles, most_blocks), threads, stream, a, rectified);
}

}  // namespace

void relu_with_mask_cuda(const ReluArguments& a, void* stream) {
    if (a.n * a.c * a.s == 0) return;
    with_type(a.dtype, [&](auto zero) { run<decltype(zero)>(a, stream); });
}

}  // namespace desali
