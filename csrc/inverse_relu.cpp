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

template <class T>
void run(const InverseReluArguments& a) {
    if (a.n * a.k * a.h * a.w * a.c == 0) return;
    const T* signal = static_cast<const T*>(a.signal);
    T* out = static_cast<T*>(a.out);
    channels_last(a, signal, out);
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
