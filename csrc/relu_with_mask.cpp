#include "relu_with_mask.hpp"

#include "parallel.hpp"
#include "simd.hpp"
#include "turn.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

// Rectified v, and all-ones lanes where it is positive (and below `upper`, if there is one) or NaN.
template <class T, bool capped>
DESALI_INLINE Vector<T> rectified(Vector<T> v, T upper, Integers<T>& positive) {
#if DESALI_VECTOR_BYTES == 64
    if constexpr (sizeof(T) == 4) {
        __m512 x = (__m512)v, zero = _mm512_setzero_ps();
        __mmask16 inside = _mm512_cmp_ps_mask(x, zero, _CMP_NLE_UQ);
        x = _mm512_max_ps(zero, x);  // a NaN in the second place stays
        if constexpr (capped) {
            inside = _mm512_mask_cmp_ps_mask(inside, x, _mm512_set1_ps(upper), _CMP_NGE_UQ);
            x = _mm512_min_ps(_mm512_set1_ps(upper), x);
        }
        positive = (Integers<T>)_mm512_movm_epi32(inside);
        return (Vector<T>)x;
    }
#endif
    positive = ~(v <= Vector<T>{});
    v = rectify<T>(v);
    if constexpr (capped) {
        Integers<T> above = v >= broadcast(upper);
        positive &= ~above;
        v = above ? broadcast(upper) : v;
    }
    return v;
}

template <class T>
DESALI_INLINE T clip(T v, T upper) {
    v = rectify(v);
    return v >= upper ? upper : v;
}

template <class T>
DESALI_INLINE Vector<T> clip_vector(Vector<T> v, T upper) {
    Integers<T> positive;
    return rectified<T, true>(v, upper, positive);
}

constexpr int64_t tile = 256;  // pixels worked off together
constexpr int64_t few = 16;    // planes of up to so many pixels are read across rows
constexpr int64_t block = 8;   // octets of channels whose bytes are turned together

// Codes of the pixels of an octet: rows (channels) of a plane, `stride` apart.
template <class T, bool capped>
DESALI_INLINE void octet_of_rows(const T* from, T* to, uint8_t* codes, int64_t rows, int64_t stride, int64_t count,
                                 T upper) {
    constexpr int lanes = Simd<T>::lanes;
    using Bytes = typename Small<T, uint8_t>::type;
    using Lane = typename Simd<T>::Integer;
    for (int64_t s = 0; s < count; s += lanes) {
        int64_t some = least(lanes, count - s);
        Integers<T> bits{};
        for (int64_t r = 0; r < rows; ++r) {
            const T* at = from + r * stride + s;
            Vector<T> v = some == lanes ? load<Vector<T>>(at) : load_part<T>(at, some);
            Integers<T> positive;
            v = rectified<T, capped>(v, upper, positive);
            bits |= positive & ((Lane)(1 << r) - Integers<T>{});
            if (some == lanes)
                store(to + r * stride + s, v);
            else
                store_part<T>(to + r * stride + s, v, some);
        }
        store(codes + s, __builtin_convertvector(bits, Bytes));
    }
}

// The same for planes of few pixels, whose rows lie side by side: vectors run across rows. `weight` holds each
// element's bit.
template <class T, bool capped>
DESALI_INLINE void octet_of_few(const T* from, T* to, uint8_t* codes, int64_t rows, int64_t s,
                                const typename Simd<T>::Integer* weight, T upper) {
    constexpr int lanes = Simd<T>::lanes;
    using Bytes = typename Small<T, uint8_t>::type;
    typedef uint8_t Row __attribute__((vector_size(few)));
    uint8_t flat[9 * few + 64] = {};
    for (int64_t i = 0; i < rows * s; i += lanes) {
        int64_t some = least(lanes, rows * s - i);
        Vector<T> v = some == lanes ? load<Vector<T>>(from + i) : load_part<T>(from + i, some);
        Integers<T> positive;
        v = rectified<T, capped>(v, upper, positive);
        store(flat + i, __builtin_convertvector(positive & load<Integers<T>>(weight + i), Bytes));
        if (some == lanes)
            store(to + i, v);
        else
            store_part<T>(to + i, v, some);
    }
    Row all{};
    for (int64_t r = 0; r < rows; ++r) all |= load<Row>(flat + r * s);
    store(codes, all);
}

// [N, C, S]: a tile of pixels of 64 channels at a time, eight rows (channels) into the bits of one byte for each pixel.
// y may be x.
template <class T, bool capped>
void channels_first(const ReluArguments& a, const T* x, T* y, T upper) {
    constexpr int64_t width = tile + 64;
    using Lane = typename Simd<T>::Integer;
    int64_t octets = (a.c + 7) / 8, tiles = ceil_div(a.s, tile), blocks = ceil_div(octets, block);
    Lane weight[8 * few + 64] = {};
    for (int64_t i = 0; a.s <= few && i < 8 * a.s; ++i) weight[i] = (Lane)1 << (i / a.s);
    parallel_for(a.n * blocks * tiles, a.n * a.c * a.s / 2, [&](int64_t task) {
        int64_t n = task / (blocks * tiles), first = task / tiles % blocks * block, s0 = task % tiles * tile;
        int64_t count = least(tile, a.s - s0), last = least(octets, first + block);
        uint8_t codes[block * width];
        for (int64_t octet = first; octet < last; ++octet) {
            int64_t rows = least(8, a.c - 8 * octet), at = (n * a.c + 8 * octet) * a.s + s0;
            uint8_t* to = codes + (octet - first) * width;
            if (a.s <= few)
                octet_of_few<T, capped>(x + at, y + at, to, rows, a.s, weight, upper);
            else
                octet_of_rows<T, capped>(x + at, y + at, to, rows, a.s, count, upper);
        }
        uint8_t* mask = a.mask + (n * a.s + s0) * octets + first;
        if (last - first == block) {
            turn(codes, width, mask, octets, count);
        } else {
            for (int64_t s = 0; s < count; ++s)
                for (int64_t o = 0; o < last - first; ++o) mask[s * octets + o] = codes[o * width + s];
        }
    });
}

// [N, S, C]: the channels of a pixel are neighbours, a byte is eight of them.
template <class T>
void channels_last(const ReluArguments& a, const T* x, T* y, T upper) {
    constexpr int lanes = Simd<T>::lanes;
    int64_t octets = (a.c + 7) / 8;
    parallel_ranges(a.n * a.s, a.n * a.s * a.c / 2, [&](int64_t begin, int64_t end) {
        for (int64_t pixel = begin; pixel < end; ++pixel) {
            const T* from = x + pixel * a.c;
            T* to = y + pixel * a.c;
            uint8_t* mask = a.mask + pixel * octets;
            int64_t c = 0;
            for (; c + 8 <= a.c; c += 8) mask[c / 8] = positive_octet(from + c, upper);
            if (c < a.c) {
                unsigned bits = 0;
                for (int64_t r = 0; c + r < a.c; ++r)
                    bits |= (unsigned)(!(from[c + r] <= 0) && !(from[c + r] >= upper)) << r;
                mask[c / 8] = (uint8_t)bits;
            }
            for (c = 0; c + lanes <= a.c; c += lanes) store(to + c, clip_vector<T>(load<Vector<T>>(from + c), upper));
            for (; c < a.c; ++c) to[c] = clip(from[c], upper);
        }
    });
}

template <class T>
void run(const ReluArguments& a) {
    if (a.n * a.c * a.s == 0) return;
    const T* x = static_cast<const T*>(a.x);
    T* y = static_cast<T*>(a.y);
    if (a.channels_last || a.s == 1)
        channels_last(a, x, y, (T)a.upper);
    else if (a.upper == a.upper)
        channels_first<T, true>(a, x, y, (T)a.upper);
    else
        channels_first<T, false>(a, x, y, (T)a.upper);
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
