#include "relu_with_mask.hpp"

#include "parallel.hpp"
#include "simd.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

template <class T>
DESALI_INLINE Vector<T> clip(Vector<T> v, T upper) {
    v = rectify<T>(v);
    return v >= broadcast(upper) ? broadcast(upper) : v;
}

template <class T>
DESALI_INLINE T clip(T v, T upper) {
    v = rectify(v);
    return v >= upper ? upper : v;
}

// [N, C, S]: a tile of pixels at a time, eight rows (channels) into the bits of one byte for each pixel.
template <class T>
void channels_first(const ReluArguments& a, const T* x, T* y, T upper) {
    constexpr int lanes = Simd<T>::lanes;
    constexpr int64_t tile = 1024;
    using Bytes = typename Small<T, uint8_t>::type;
    using Lane = typename Simd<T>::Integer;
    int64_t octets = (a.c + 7) / 8, tiles = (a.s + tile - 1) / tile;
    parallel_for(a.n * tiles, a.n * a.c * a.s, [&](int64_t task) {
        int64_t n = task / tiles, s0 = task % tiles * tile, s1 = least(a.s, s0 + tile);
        for (int64_t octet = 0; octet < octets; ++octet) {
            int64_t rows = least(8, a.c - 8 * octet);
            const T* from = x + (n * a.c + 8 * octet) * a.s;
            T* to = y + (n * a.c + 8 * octet) * a.s;
            uint8_t* mask = a.mask + n * a.s * octets + octet;
            int64_t s = s0;
            for (; s + lanes <= s1; s += lanes) {
                Integers<T> bits{};
                for (int64_t r = 0; r < rows; ++r) {
                    Vector<T> v = load<Vector<T>>(from + r * a.s + s);
                    Integers<T> positive = (v > Vector<T>{}) & ~(v >= broadcast(upper));
                    bits |= positive & ((Lane)(1 << r) - Integers<T>{});
                    store(to + r * a.s + s, clip<T>(v, upper));
                }
                uint8_t bytes[lanes];
                store(bytes, __builtin_convertvector(bits, Bytes));
                for (int l = 0; l < lanes; ++l) mask[(s + l) * octets] = bytes[l];
            }
            for (; s < s1; ++s) {
                unsigned bits = 0;
                for (int64_t r = 0; r < rows; ++r) {
                    T v = from[r * a.s + s];
                    bits |= (unsigned)(v > 0 && !(v >= upper)) << r;
                    to[r * a.s + s] = clip(v, upper);
                }
                mask[s * octets] = (uint8_t)bits;
            }
        }
    });
}

// [N, S, C]: the channels of a pixel are neighbours, a byte is eight of them.
template <class T>
void channels_last(const ReluArguments& a, const T* x, T* y, T upper) {
    constexpr int lanes = Simd<T>::lanes;
    int64_t octets = (a.c + 7) / 8;
    parallel_ranges(a.n * a.s, a.n * a.s * a.c, [&](int64_t begin, int64_t end) {
        for (int64_t pixel = begin; pixel < end; ++pixel) {
            const T* from = x + pixel * a.c;
            T* to = y + pixel * a.c;
            uint8_t* mask = a.mask + pixel * octets;
            int64_t c = 0;
            for (; c + 8 <= a.c; c += 8) mask[c / 8] = positive_octet(from + c, upper);
            if (c < a.c) {
                unsigned bits = 0;
                for (int64_t r = 0; c + r < a.c; ++r)
                    bits |= (unsigned)(from[c + r] > 0 && !(from[c + r] >= upper)) << r;
                mask[c / 8] = (uint8_t)bits;
            }
            for (c = 0; c + lanes <= a.c; c += lanes) store(to + c, clip<T>(load<Vector<T>>(from + c), upper));
            for (; c < a.c; ++c) to[c] = clip(from[c], upper);
        }
    });
}

template <class T>
void run(const ReluArguments& a) {
    if (a.n * a.c * a.s == 0) return;
    const T* x = static_cast<const T*>(a.x);
    T* y = static_cast<T*>(a.y);
    if (a.channels_last)
        channels_last(a, x, y, (T)a.upper);
    else
        channels_first(a, x, y, (T)a.upper);
}

}  // namespace

void relu_with_mask(const ReluArguments& a) {
    if (a.dtype == DType::f32)
        run<float>(a);
    else
        run<double>(a);
}

}  // namespace DESALI_LEVEL
}  // namespace desali
