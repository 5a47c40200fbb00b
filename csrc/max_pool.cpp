#include "max_pool.hpp"

#include <limits>

#include "parallel.hpp"
#include "simd.hpp"
#include "turn.hpp"

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

// Codes of channels, a row of `width` each -> side by side for each of `count` pixels, `stride` apart.
template <class S>
void turn_to_last(const S* codes, int64_t width, int64_t channels, S* to, int64_t stride, int64_t count) {
    int64_t c = 0;
    if constexpr (sizeof(S) == 1)
        for (; c + 8 <= channels; c += 8) turn(codes + c * width, width, to + c, stride, count);
    for (int64_t i = 0; i < count; ++i)
        for (int64_t rest = c; rest < channels; ++rest) to[i * stride + rest] = codes[rest * width + i];
}

// A value and its code into the greatest so far: the first one wins, and the last NaN.
template <class T>
DESALI_INLINE void take(Vector<T> v, Integers<T> here, Vector<T>& greatest, Integers<T>& code) {
    Integers<T> wins = (v > greatest) | (v != v);
    greatest = wins ? v : greatest;
    code = wins ? here : code;
}

// Planes of pixels; windows of a row side by side in the lanes. `halved` is the kernel's width where its stride is 2
// and its dilation 1, so that neighbours share what they read; 0 for any other.
template <class T, int halved>
class Plane {
    static constexpr int lanes = Simd<T>::lanes;
    static constexpr T none = -std::numeric_limits<T>::infinity();
    using Lane = typename Simd<T>::Integer;

  public:
    explicit Plane(const MaxPoolArguments& a)
        : a_(a),
          inside_(a.x_axis.position(a.q - 1, a.x_axis.kernel - 1) < a.w),
          end_(static_cast<const T*>(a.x) + a.n * a.c * a.h * a.w) {}

    // The greatest of windows q, q + 1, ... of a row of windows that starts at row y of the plane, and where it stands.
    inline __attribute__((always_inline)) void of(const T* plane, int64_t y, Valid ky, int64_t q, Vector<T>& greatest,
                                                  Integers<T>& code) const {
        int64_t x0 = a_.x_axis.position(q, 0);
        for (int64_t k = ky.first; k < ky.last; ++k) {
            const T* row = plane + (y + k * a_.y_axis.dilation) * a_.w;
            int64_t readable = inside_ ? end_ - row : a_.w;
            Integers<T> here = (Lane)(k * a_.x_axis.kernel) - Integers<T>{};
            if constexpr (halved > 0) {
                for (int l = 0; l < halved; l += 2) {
                    Vector<T> low = within(row, x0 + l, readable), high = within(row, x0 + l + lanes, readable);
                    take<T>(evens<T>(low, high), here + (Lane)l, greatest, code);
                    if (l + 1 < halved) take<T>(odds<T>(low, high), here + (Lane)(l + 1), greatest, code);
                }
            } else {
                for (int64_t l = 0; l < a_.x_axis.kernel; ++l)
                    take<T>(apart(row, x0 + l * a_.x_axis.dilation, readable), here + (Lane)l, greatest, code);
            }
        }
    }

  private:
    // Elements x, x + stride, ... of a row, -infinity outside of it.
    inline __attribute__((always_inline)) Vector<T> apart(const T* row, int64_t x, int64_t readable) const {
        if (a_.x_axis.stride == 1) return within(row, x, readable);
        if (a_.x_axis.stride == 2) return evens<T>(within(row, x, readable), within(row, x + lanes, readable));
        Vector<T> v = broadcast(none);
        for (int i = 0; i < lanes; ++i, x += a_.x_axis.stride)
            if (x >= 0 && x < a_.w) v[i] = row[x];
        return v;
    }

    // Elements x, x + 1, ... of a row, -infinity outside of it. Where no window reaches beyond the row's end, what lies
    // there is read by none that counts, and may be anything.
    inline __attribute__((always_inline)) Vector<T> within(const T* row, int64_t x, int64_t readable) const {
        if (__builtin_expect(x >= 0 && x + lanes <= readable, 1)) return load<Vector<T>>(row + x);
        return load_between(row + x, -x, a_.w - x, none);
    }

    const MaxPoolArguments& a_;
    bool inside_;
    const T* end_;
};

template <class T, class S, int halved>
void channels_first(const MaxPoolArguments& a) {
    constexpr int lanes = Simd<T>::lanes;
    constexpr int64_t block = 32;  // channels whose switches are turned to channels-last together
    constexpr S top = (S)1 << (8 * sizeof(S) - 1);
    using Lane = typename Simd<T>::Integer;
    using Codes = typename Small<T, S>::type;
    int64_t blocks = ceil_div(a.c, block), bands = least(a.p, most(1, ceil_div(8, a.n * blocks)));
    int64_t vectors_width = ceil_div(a.q, lanes) * lanes;
    Scratch<Lane> first_x(vectors_width);
    for (int64_t q = 0; q < vectors_width; ++q) first_x[q] = (Lane)(q < a.q ? Valid(a.x_axis, q, a.w).first : 0);
    Scratch<Valid> valid(a.p);
    for (int64_t p = 0; p < a.p; ++p) valid[p] = Valid(a.y_axis, p, a.h);
    parallel_for(a.n * blocks * bands, a.n * a.c * a.h * a.w, [&](int64_t task) {
        int64_t n = task / (blocks * bands), c0 = task / bands % blocks * block, c1 = least(a.c, c0 + block);
        int64_t p0 = a.p * (task % bands) / bands, p1 = a.p * (task % bands + 1) / bands;
        int64_t tile = (p1 - p0) * a.q, width = ceil_div(tile + lanes, 8) * 8;
        const Plane<T, halved> windows(a);
        Scratch<S> codes(block * width);
        for (int64_t c = c0; c < c1; ++c) {
            const T* plane = static_cast<const T*>(a.x) + (n * a.c + c) * a.h * a.w;
            T* pooled = static_cast<T*>(a.y) + (n * a.c + c) * a.p * a.q;
            for (int64_t p = p0; p < p1; ++p) {
                // The rows to come, in order: read row beside row they would not be foreseen.
                for (int64_t i = 0; p + 1 < p1 && i < least(a.y_axis.stride, 4) * a.w; i += 64 / (int64_t)sizeof(T))
                    __builtin_prefetch(plane + a.y_axis.position(p + 1, 0) * a.w + i);
                for (int64_t q = 0; q < a.q; q += lanes) {
                    Vector<T> best = broadcast(-std::numeric_limits<T>::infinity());
                    Integers<T> code = load<Integers<T>>(&first_x[q]) + (Lane)(valid[p].first * a.x_axis.kernel);
                    windows.of(plane, a.y_axis.position(p, 0), valid[p], q, best, code);
                    if (a.after_relu) code |= ~(best <= Vector<T>{}) & ((Lane)top - Integers<T>{});
                    int64_t count = least(lanes, a.q - q);
                    if (count == lanes)
                        store(pooled + p * a.q + q, best);
                    else
                        store_part<T>(pooled + p * a.q + q, best, count);
                    store(&codes[(c - c0) * width + (p - p0) * a.q + q], __builtin_convertvector(code, Codes));
                }
            }
        }
        S* to = static_cast<S*>(a.switches) + (n * a.p + p0) * a.q * a.c + c0;
        turn_to_last(codes.get(), width, c1 - c0, to, a.c, tile);
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
                            take<T>(v, (Lane)(k * a.x_axis.kernel + l) - Integers<T>{}, best, code);
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
    else if (a.x_axis.stride == 2 && a.x_axis.dilation == 1 && a.x_axis.kernel == 3)
        channels_first<T, S, 3>(a);
    else if (a.x_axis.stride == 2 && a.x_axis.dilation == 1 && a.x_axis.kernel == 2)
        channels_first<T, S, 2>(a);
    else
        channels_first<T, S, 0>(a);
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
