#include "inverse_relu.hpp"

#include "parallel.hpp"
#include "rectify.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

// Part [first, last) of a row of `size` elements that lies in the map, for a region that starts at `origin`.
struct Inside {
    int64_t first, last;
    Inside(int64_t origin, int64_t size, int64_t map) : first(most(0, -origin)), last(least(size, map - origin)) {
        if (last < first) first = last = 0;
    }
};

// Rows of pixels whose channels are neighbours in memory.
template <class T>
void channels_last(const InverseReluArguments& a, const T* signal, T* out) {
    parallel_ranges(a.n * a.k * a.h, a.n * a.k * a.h * a.w * a.c, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            int64_t nk = row / a.h, y = row % a.h, n = nk / a.k;
            const T* from = signal + n * a.stride_n + nk % a.k * a.stride_k + y * a.stride_y;
            T* to = out + row * a.w * a.c;
            int64_t map_y = y + a.origin.y(nk);
            Inside x(a.origin.x(nk), a.w, a.map_w);
            if (map_y < 0 || map_y >= a.map_h) x.first = x.last = 0;
            std::memset(to, 0, (size_t)(x.first * a.c) * sizeof(T));
            const uint8_t* bits =
                x.first < x.last ? mask_at(a.relu, n, map_y, x.first + a.origin.x(nk), a.map_h, a.map_w, a.c) : nullptr;
            if (a.stride_x == a.c) {
                rectify_pixels(from + x.first * a.c, to + x.first * a.c, bits, a.relu.backward, x.last - x.first, a.c);
            } else {
                int64_t octets = a.relu.mask ? (a.c + 7) / 8 : 0;
                for (int64_t i = x.first; i < x.last; ++i)
                    rectify_pixels(from + i * a.stride_x, to + i * a.c, bits ? bits + (i - x.first) * octets : nullptr,
                                   a.relu.backward, 1, a.c);
            }
            std::memset(to + x.last * a.c, 0, (size_t)((a.w - x.last) * a.c) * sizeof(T));
        }
    });
}

// Any other layout: a tile of pixels is gathered channel by channel, then rectified as channels-last pixels.
template <class T>
void strided(const InverseReluArguments& a, const T* signal, T* out) {
    constexpr int64_t tile = 16;
    parallel_ranges(a.n * a.k * a.h, a.n * a.k * a.h * a.w * a.c, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            int64_t nk = row / a.h, y = row % a.h, n = nk / a.k;
            const T* from = signal + n * a.stride_n + nk % a.k * a.stride_k + y * a.stride_y;
            int64_t map_y = y + a.origin.y(nk);
            for (int64_t x0 = 0; x0 < a.w; x0 += tile) {
                int64_t x1 = least(a.w, x0 + tile);
                T* to = out + (row * a.w + x0) * a.c;
                for (int64_t c = 0; c < a.c; ++c)
                    for (int64_t x = x0; x < x1; ++x) to[(x - x0) * a.c + c] = from[c * a.stride_c + x * a.stride_x];
                for (int64_t x = x0; x < x1; ++x, to += a.c) {
                    int64_t map_x = x + a.origin.x(nk);
                    if (map_y < 0 || map_y >= a.map_h || map_x < 0 || map_x >= a.map_w)
                        std::memset(to, 0, (size_t)a.c * sizeof(T));
                    else
                        rectify_run(to, to, mask_at(a.relu, n, map_y, map_x, a.map_h, a.map_w, a.c), a.relu.backward,
                                    a.c);
                }
            }
        }
    });
}

template <class T>
void run(const InverseReluArguments& a) {
    if (a.n * a.k * a.h * a.w * a.c == 0) return;
    const T* signal = static_cast<const T*>(a.signal);
    T* out = static_cast<T*>(a.out);
    if (a.stride_c == 1 || a.c == 1)
        channels_last(a, signal, out);
    else
        strided(a, signal, out);
}

}  // namespace

void inverse_relu(const InverseReluArguments& a) {
    if (a.dtype == DType::f32)
        run<float>(a);
    else
        run<double>(a);
}

}  // namespace DESALI_LEVEL
}  // namespace desali
