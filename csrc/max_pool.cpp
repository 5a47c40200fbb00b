#include "max_pool.hpp"

#include <limits>

#include "parallel.hpp"
#include "simd.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

// First and last offset + 1 of window p that lie inside a map of `size` elements; first = 0 where none does.
struct Valid {
    int64_t first, last;
    Valid(const Axis& axis, int64_t p, int64_t size) {
        int64_t start = p * axis.stride - axis.padding;
        first = start < 0 ? ceil_div(-start, axis.dilation) : 0;
        last = least(axis.kernel, ceil_div(size - start, axis.dilation));
        if (first >= axis.kernel) first = 0;
    }
};

// Rows of one channel, split by x modulo the stride and bordered by -infinity, so that the elements that neighbouring
// windows read at one offset are neighbours in memory.
template <class T>
class SplitRows {
  public:
    SplitRows(const MaxPoolArguments& a, int64_t vectors_width)
        : a_(a),
          slots_((a.y_axis.kernel - 1) * a.y_axis.dilation + 1),
          length_(ceil_div(most((vectors_width - 1) * a.x_axis.stride + (a.x_axis.kernel - 1) * a.x_axis.dilation + 1,
                                a.w + a.x_axis.padding + 1),
                           a.x_axis.stride) +
                  Simd<T>::lanes),
          rows_(slots_ * a.x_axis.stride * length_),
          tags_(slots_) {
        for (int64_t i = 0; i < slots_ * a.x_axis.stride * length_; ++i) rows_[i] = -std::numeric_limits<T>::infinity();
        forget();
    }

    void forget() {
        for (int64_t i = 0; i < slots_; ++i) tags_[i] = -1;
    }

    // Row y of the plane at `plane`; read element (offset k, window q) at [shift(k) + q].
    const T* row(const T* plane, int64_t y) {
        int64_t slot = y % slots_, stride = a_.x_axis.stride, padding = a_.x_axis.padding;
        T* to = rows_.get() + slot * stride * length_;
        if (tags_[slot] == y) return to;
        tags_[slot] = y;
        const T* from = plane + y * a_.w;
        if (stride == 1) {
            std::memcpy(to + padding, from, (size_t)a_.w * sizeof(T));
        } else if (stride == 2) {
            T* even = to + padding % 2 * length_ + padding / 2;
            T* odd = to + (padding + 1) % 2 * length_ + (padding + 1) / 2;
            int64_t pairs = a_.w / 2;
            for (int64_t i = 0; i < pairs; ++i) {
                even[i] = from[2 * i];
                odd[i] = from[2 * i + 1];
            }
            if (a_.w % 2) even[pairs] = from[2 * pairs];
        } else {
            for (int64_t x = 0; x < a_.w; ++x) to[(x + padding) % stride * length_ + (x + padding) / stride] = from[x];
        }
        return to;
    }

    int64_t shift(int64_t k) const {
        int64_t distance = k * a_.x_axis.dilation;
        return distance % a_.x_axis.stride * length_ + distance / a_.x_axis.stride;
    }

  private:
    const MaxPoolArguments& a_;
    int64_t slots_, length_;
    Scratch<T> rows_;
    Scratch<int64_t> tags_;
};

// Planes of pixels; windows of a row side by side in the lanes.
template <class T, class S>
void channels_first(const MaxPoolArguments& a) {
    constexpr int lanes = Simd<T>::lanes;
    constexpr int64_t block = 32;  // channels whose switches are turned to channels-last together
    constexpr S top = (S)1 << (8 * sizeof(S) - 1);
    using Lane = typename Simd<T>::Integer;
    using Codes = typename Small<T, S>::type;
    int64_t vectors_width = ceil_div(a.q, lanes) * lanes;
    int64_t blocks = ceil_div(a.c, block), bands = least(a.p, most(1, ceil_div(8, a.n * blocks)));
    Scratch<Lane> first_x(vectors_width);
    for (int64_t q = 0; q < vectors_width; ++q) first_x[q] = (Lane)(q < a.q ? Valid(a.x_axis, q, a.w).first : 0);
    parallel_for(a.n * blocks * bands, a.n * a.c * a.h * a.w, [&](int64_t task) {
        int64_t n = task / (blocks * bands), c0 = task / bands % blocks * block, c1 = least(a.c, c0 + block);
        int64_t p0 = a.p * (task % bands) / bands, p1 = a.p * (task % bands + 1) / bands;
        int64_t tile = (p1 - p0) * a.q;
        SplitRows<T> rows(a, vectors_width);
        Scratch<S> codes(block * tile + lanes);
        Scratch<int64_t> shifts(a.x_axis.kernel);
        for (int64_t k = 0; k < a.x_axis.kernel; ++k) shifts[k] = rows.shift(k);
        Scratch<const T*> sources(a.y_axis.kernel);
        for (int64_t c = c0; c < c1; ++c) {
            const T* plane = static_cast<const T*>(a.x) + (n * a.c + c) * a.h * a.w;
            T* pooled = static_cast<T*>(a.y) + (n * a.c + c) * a.p * a.q;
            rows.forget();
            for (int64_t p = p0; p < p1; ++p) {
                Valid ky(a.y_axis, p, a.h);
                for (int64_t k = ky.first; k < ky.last; ++k) sources[k] = rows.row(plane, a.y_axis.position(p, k));
                for (int64_t q = 0; q < a.q; q += lanes) {
                    Vector<T> best = broadcast(-std::numeric_limits<T>::infinity());
                    Integers<T> code = load<Integers<T>>(&first_x[q]) + (Lane)(ky.first * a.x_axis.kernel);
                    for (int64_t k = ky.first; k < ky.last; ++k)
                        for (int64_t l = 0; l < a.x_axis.kernel; ++l) {
                            Vector<T> v = load<Vector<T>>(sources[k] + shifts[l] + q);
                            Integers<T> wins = (v > best) | (v != v);
                            best = wins ? v : best;
                            code = wins ? (Lane)(k * a.x_axis.kernel + l) - Integers<T>{} : code;
                        }
                    if (a.after_relu) code |= ~(best <= Vector<T>{}) & ((Lane)top - Integers<T>{});
                    int64_t count = least(lanes, a.q - q);
                    if (count == lanes)
                        store(pooled + p * a.q + q, best);
                    else
                        store_part<T>(pooled + p * a.q + q, best, count);
                    store(&codes[(c - c0) * tile + (p - p0) * a.q + q], __builtin_convertvector(code, Codes));
                }
            }
        }
        S* to = static_cast<S*>(a.switches) + (n * a.p + p0) * a.q * a.c + c0;
        for (int64_t i = 0; i < tile; ++i)
            for (int64_t c = 0; c < c1 - c0; ++c) to[i * a.c + c] = codes[c * tile + i];
    });
}

// Channels of a pixel side by side in the lanes.
template <class T, class S>
void channels_last(const MaxPoolArguments& a) {
    constexpr int lanes = Simd<T>::lanes;
    constexpr S top = (S)1 << (8 * sizeof(S) - 1);
    using Lane = typename Simd<T>::Integer;
    using Codes = typename Small<T, S>::type;
    parallel_ranges(a.n * a.p, a.n * a.c * a.h * a.w, [&](int64_t begin, int64_t end) {
        for (int64_t row = begin; row < end; ++row) {
            int64_t n = row / a.p, p = row % a.p;
            Valid ky(a.y_axis, p, a.h);
            const T* image = static_cast<const T*>(a.x) + n * a.h * a.w * a.c;
            for (int64_t q = 0; q < a.q; ++q) {
                Valid kx(a.x_axis, q, a.w);
                T* pooled = static_cast<T*>(a.y) + (row * a.q + q) * a.c;
                S* to = static_cast<S*>(a.switches) + (row * a.q + q) * a.c;
                for (int64_t c = 0; c < a.c; c += lanes) {
                    int64_t count = least(lanes, a.c - c);
                    Vector<T> best = broadcast(-std::numeric_limits<T>::infinity());
                    Integers<T> code = (Lane)(ky.first * a.x_axis.kernel + kx.first) - Integers<T>{};
                    for (int64_t k = ky.first; k < ky.last; ++k)
                        for (int64_t l = kx.first; l < kx.last; ++l) {
                            const T* from = image + (a.y_axis.position(p, k) * a.w + a.x_axis.position(q, l)) * a.c + c;
                            Vector<T> v = count == lanes ? load<Vector<T>>(from) : load_part<T>(from, count);
                            Integers<T> wins = (v > best) | (v != v);
                            best = wins ? v : best;
                            code = wins ? (Lane)(k * a.x_axis.kernel + l) - Integers<T>{} : code;
                        }
                    if (a.after_relu) code |= ~(best <= Vector<T>{}) & ((Lane)top - Integers<T>{});
                    Codes codes = __builtin_convertvector(code, Codes);
                    if (count == lanes) {
                        store(pooled + c, best);
                        store(to + c, codes);
                    } else {
                        store_part<T>(pooled + c, best, count);
                        for (int64_t i = 0; i < count; ++i) to[c + i] = codes[i];
                    }
                }
            }
        }
    });
}

template <class T, class S>
void run(const MaxPoolArguments& a) {
    if (a.n * a.c * a.p * a.q == 0) return;
    if (a.channels_last)
        channels_last<T, S>(a);
    else
        channels_first<T, S>(a);
}

template <class T>
void run(const MaxPoolArguments& a) {
    if (a.switch_bytes == 1)
        run<T, uint8_t>(a);
    else if (a.switch_bytes == 2)
        run<T, uint16_t>(a);
    else
        run<T, uint32_t>(a);
}

}  // namespace

void max_pool(const MaxPoolArguments& a) {
    if (a.dtype == DType::f32)
        run<float>(a);
    else
        run<double>(a);
}

}  // namespace DESALI_LEVEL
}  // namespace desali
