// The inverse ReLU on one pixel or on a run of pixels, the epilogue of every op that ends at a ReLU.
#pragma once

#include "geometry.hpp"
#include "simd.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

template <class T, bool Masked, bool Backward>
DESALI_INLINE void rectify_run(const T* in, T* out, const uint8_t* bits, int64_t count) {
    constexpr int lanes = Simd<T>::lanes;
    int64_t i = 0;
    for (; i + lanes <= count; i += lanes) {
        Vector<T> v = load<Vector<T>>(in + i);
        if constexpr (Backward) v = rectify<T>(v);
        if constexpr (Masked) v = keep<T>(lanes_of_bits<T>(bits, i), v);
        store(out + i, v);
    }
    for (; i < count; ++i) {
        T v = in[i];
        if constexpr (Backward) v = rectify(v);
        if constexpr (Masked) v = bit(bits, i) ? v : T(0);
        out[i] = v;
    }
}

// A copy of few elements, by 16 bytes.
template <class T>
DESALI_INLINE void copy_run(const T* in, T* out, int64_t count) {
    typedef T Part __attribute__((vector_size(16)));
    constexpr int64_t step = 16 / sizeof(T);
    int64_t i = 0;
    for (; i + step <= count; i += step) store(out + i, load<Part>(in + i));
    for (; i < count; ++i) out[i] = in[i];
}

// `count` elements that share a run of bits starting at bit 0 of `bits` (null: no mask).
template <class T>
static void rectify_run(const T* in, T* out, const uint8_t* bits, bool backward, int64_t count) {
    if (bits && backward)
        rectify_run<T, true, true>(in, out, bits, count);
    else if (bits)
        rectify_run<T, true, false>(in, out, bits, count);
    else if (backward)
        rectify_run<T, false, true>(in, out, bits, count);
    else if (in != out)
        std::memcpy(out, in, (size_t)count * sizeof(T));
}

// `pixels` channels-last pixels whose mask rows start at `bits`.
template <class T>
static void rectify_pixels(const T* in, T* out, const uint8_t* bits, bool backward, int64_t pixels, int64_t channels) {
    if (!bits || channels % 8 == 0) return rectify_run(in, out, bits, backward, pixels * channels);
    int64_t octets = (channels + 7) / 8;
    for (int64_t p = 0; p < pixels; ++p)
        rectify_run(in + p * channels, out + p * channels, bits + p * octets, backward, channels);
}

// Bits of map position (y, x) of image n, or null where no mask takes part.
static inline const uint8_t* mask_at(const InverseRelu& relu, int64_t n, int64_t y, int64_t x, int64_t map_h,
                                     int64_t map_w, int64_t channels) {
    return relu.mask ? relu.mask + ((n * map_h + y) * map_w + x) * ((channels + 7) / 8) : nullptr;
}

}  // namespace
}  // namespace DESALI_LEVEL
}  // namespace desali
