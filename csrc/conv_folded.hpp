// The cell product of the step to an image of three channels with stride 4 and a kernel of 4 n + 3 (AlexNet's 11): the
// last tap of each axis has no weights for the last phase. 8 of a cell's 48 columns are zero at the last tap in x, 8
// others at the last in y. The columns are put in such an order that both groups stand apart, in a vector of
// their own (AVX2) or one that two cells share (AVX-512), which is left out where it would multiply zeros.
#pragma once

#include "conv_transpose.hpp"
#include "simd.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

#if DESALI_VECTOR_BYTES == 64

// GCC takes the undefined operand that its own intrinsics pass on for a mistake.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

constexpr bool has_folded = true;

struct FoldedSums {
    __m512 whole[8][2];             // of a cell: the columns that every tap has
    __m512 short_x[4], short_y[4];  // of two cells: the columns that the last tap in x, in y, does not have
};

template <bool X, bool Y>
DESALI_INLINE void add_folded_tap(FoldedSums& sums, const float* const* pixel, const float* weight, int64_t channels) {
    const float *p0 = pixel[0], *p1 = pixel[1], *p2 = pixel[2], *p3 = pixel[3];
    const float *p4 = pixel[4], *p5 = pixel[5], *p6 = pixel[6], *p7 = pixel[7];
    for (int64_t o = 0; o < channels; ++o, weight += 48) {
        __m512 first = _mm512_loadu_ps(weight), second = _mm512_loadu_ps(weight + 16), x{}, y{};
        if constexpr (X) x = _mm512_broadcast_f32x8(_mm256_loadu_ps(weight + 32));
        if constexpr (Y) y = _mm512_broadcast_f32x8(_mm256_loadu_ps(weight + 40));
        const float* const pair[4][2] = {{p0, p1}, {p2, p3}, {p4, p5}, {p6, p7}};
#pragma GCC unroll 4
        for (int j = 0; j < 4; ++j) {
            __m512 even = _mm512_set1_ps(pair[j][0][o]), odd = _mm512_set1_ps(pair[j][1][o]);
            sums.whole[2 * j][0] = _mm512_fmadd_ps(even, first, sums.whole[2 * j][0]);
            sums.whole[2 * j][1] = _mm512_fmadd_ps(even, second, sums.whole[2 * j][1]);
            sums.whole[2 * j + 1][0] = _mm512_fmadd_ps(odd, first, sums.whole[2 * j + 1][0]);
            sums.whole[2 * j + 1][1] = _mm512_fmadd_ps(odd, second, sums.whole[2 * j + 1][1]);
            if constexpr (X || Y) {
                __m512 both = _mm512_mask_blend_ps(0xff00, even, odd);
                if constexpr (X) sums.short_x[j] = _mm512_fmadd_ps(both, x, sums.short_x[j]);
                if constexpr (Y) sums.short_y[j] = _mm512_fmadd_ps(both, y, sums.short_y[j]);
            }
        }
    }
}

// Sums of 8 cells in the plain order of columns, 48 for each; `pixels` as for multiply().
inline void multiply_folded(const float* const* pixels, int64_t taps_y, int64_t taps_x, int64_t channels,
                            const float* weight, float* out) {
    FoldedSums sums{};
    for (int64_t ty = 0; ty < taps_y; ++ty)
        for (int64_t tx = 0; tx < taps_x; ++tx, pixels += 8, weight += channels * 48) {
            if (!pixels[0]) continue;
            if (ty < taps_y - 1 && tx < taps_x - 1)
                add_folded_tap<true, true>(sums, pixels, weight, channels);
            else if (ty < taps_y - 1)
                add_folded_tap<false, true>(sums, pixels, weight, channels);
            else if (tx < taps_x - 1)
                add_folded_tap<true, false>(sums, pixels, weight, channels);
            else
                add_folded_tap<false, false>(sums, pixels, weight, channels);
        }
    // Back to the plain order, row by row of the cell: 12 columns, of which `whole` has 9, 9, 9 + 1 and 4.
    // Indices of 16 and more are of the short columns, x at 16 and y at 24.
    const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 17, 18, 9, 10, 11, 12);
    const __m512i middle = _mm512_setr_epi32(13, 14, 15, 16, 17, 0, 0, 0, 18, 19, 20, 21, 22, 23, 24, 25);
    const __m512i second = _mm512_setr_epi32(0, 1, 2, 3, 4, 19, 20, 21, 8, 9, 10, 11, 12, 13, 14, 15);
    const __m512i third = _mm512_setr_epi32(10, 22, 23, 11, 24, 25, 26, 27, 28, 29, 30, 31, 12, 13, 14, 15);
#pragma GCC unroll 8
    for (int m = 0; m < 8; ++m, out += 48) {
        __m512 x = sums.short_x[m / 2], y = sums.short_y[m / 2];
        __m512 ends = m % 2 ? _mm512_shuffle_f32x4(x, y, 0xee) : _mm512_shuffle_f32x4(x, y, 0x44);
        __m512 between = _mm512_permutex2var_ps(sums.whole[m][0], middle, sums.whole[m][1]);
        _mm512_storeu_ps(out, _mm512_permutex2var_ps(sums.whole[m][0], first, ends));
        _mm512_storeu_ps(out + 16, _mm512_permutex2var_ps(between, second, ends));
        _mm512_storeu_ps(out + 32, _mm512_permutex2var_ps(sums.whole[m][1], third, ends));
    }
}

#pragma GCC diagnostic pop

#elif defined(__AVX2__)

constexpr bool has_folded = true;

// sums[cell m][vector i] += sum over channels of pixel m * weight vector i, for 6 cells and NV vectors.
template <int NV>
DESALI_INLINE void add_folded_tap(Vector<float> (&sums)[6][NV], const float* const* pixel, const float* weight,
                                  int64_t channels) {
    const float *p0 = pixel[0], *p1 = pixel[1], *p2 = pixel[2], *p3 = pixel[3], *p4 = pixel[4], *p5 = pixel[5];
    for (int64_t o = 0; o < channels; ++o, weight += 48) {
        const float values[6] = {p0[o], p1[o], p2[o], p3[o], p4[o], p5[o]};
        Vector<float> column[NV];
#pragma GCC unroll 2
        for (int i = 0; i < NV; ++i) {
            column[i] = load<Vector<float>>(weight + i * 8);
            DESALI_HOLD(column[i]);
        }
#pragma GCC unroll 6
        for (int m = 0; m < 6; ++m)
#pragma GCC unroll 2
            for (int i = 0; i < NV; ++i) sums[m][i] += values[m] * column[i];
    }
}

// Sums of 6 cells in the plain order of columns, 48 for each; `pixels` as for multiply(). The columns that the last
// taps do not have fill a vector each.
inline void multiply_folded(const float* const* pixels, int64_t taps_y, int64_t taps_x, int64_t channels,
                            const float* weight, float* out) {
    alignas(32) float folded[6][48];
    for (int first = 0; first < 32; first += 16) {
        Vector<float> sums[6][2] = {};
        for (int64_t tap = 0; tap < taps_y * taps_x; ++tap)
            if (pixels[tap * 6])
                add_folded_tap<2>(sums, pixels + tap * 6, weight + tap * channels * 48 + first, channels);
#pragma GCC unroll 6
        for (int m = 0; m < 6; ++m)
#pragma GCC unroll 2
            for (int i = 0; i < 2; ++i) store(folded[m] + first + i * 8, sums[m][i]);
    }
    Vector<float> ends[6][2] = {}, x[6][1] = {}, y[6][1] = {};
    for (int64_t ty = 0; ty < taps_y; ++ty)
        for (int64_t tx = 0; tx < taps_x; ++tx, pixels += 6, weight += channels * 48) {
            if (!pixels[0]) continue;
            if (ty < taps_y - 1 && tx < taps_x - 1)
                add_folded_tap<2>(ends, pixels, weight + 32, channels);
            else if (tx < taps_x - 1)
                add_folded_tap<1>(x, pixels, weight + 32, channels);
            else if (ty < taps_y - 1)
                add_folded_tap<1>(y, pixels, weight + 40, channels);
        }
    for (int m = 0; m < 6; ++m, out += 48) {
        store(folded[m] + 32, ends[m][0] + x[m][0]);
        store(folded[m] + 40, ends[m][1] + y[m][0]);
        // Row by row of the cell: 12 columns.
        const float* in = folded[m];
        std::memcpy(out, in, 36), std::memcpy(out + 9, in + 32, 12);
        std::memcpy(out + 12, in + 9, 36), std::memcpy(out + 21, in + 35, 12);
        std::memcpy(out + 24, in + 18, 36), std::memcpy(out + 33, in + 38, 8), out[35] = in[27];
        std::memcpy(out + 36, in + 40, 32), std::memcpy(out + 44, in + 28, 16);
    }
}

#else

constexpr bool has_folded = false;

inline void multiply_folded(const float* const*, int64_t, int64_t, int64_t, const float*, float*) {}

#endif

}  // namespace
}  // namespace DESALI_LEVEL
}  // namespace desali
