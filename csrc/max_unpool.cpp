#include "max_unpool.hpp"

#include <type_traits>

#include "parallel.hpp"
#include "rectify.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

// A window that covers an element: its signal (null: outside the region, zero), its switches and the code that points
// here.
template <class T, class S>
struct Window {
    const T* signal;
    const S* switches;
    S code;
};

// Windows (index, offset) that cover a position along one axis, in ascending order.
struct Cover {
    int64_t window, offset;
};

static int64_t cover(const Axis& axis, int64_t position, int64_t windows, bool centre, Cover* to) {
    int64_t count = 0;
    int64_t last = least(windows - 1, axis.last_window(position));
    for (int64_t p = most(0, axis.first_window(position)); p <= last; ++p) {
        int64_t k = axis.offset(position, p);
        if (k >= 0 && (!centre || k == (axis.kernel + 1) / 2 - 1)) to[count++] = {p, k};
    }
    return count;
}

// Lanes where a switch, as far as it is relevant, equals the code.
template <class T, class S>
DESALI_INLINE Integers<T> pointing(const S* switches, S relevant, S code) {
    using Codes = typename Small<T, S>::type;
    using Signed = typename Small<T, std::make_signed_t<S>>::type;
    Codes here = (load<Codes>(switches) & relevant) ^ code;
    return __builtin_convertvector((Signed)here, Integers<T>) == Integers<T>{};
}

// sum + v in the lanes that point here.
template <class T, class S>
DESALI_INLINE Vector<T> add_pointing(Vector<T> sum, const T* signal, const S* switches, S relevant, S code) {
#if DESALI_VECTOR_BYTES == 64
    if constexpr (sizeof(T) == 4 && sizeof(S) == 1) {
        __m128i here = _mm_and_si128(_mm_loadu_si128((const __m128i*)switches), _mm_set1_epi8((char)relevant));
        __mmask16 points = _mm_cmpeq_epi8_mask(here, _mm_set1_epi8((char)code));
        return (Vector<T>)_mm512_mask_add_ps((__m512)sum, points, (__m512)sum, _mm512_loadu_ps(signal));
    }
#endif
    return sum + keep<T>(pointing<T, S>(switches, relevant, code), load<Vector<T>>(signal));
}

// Channels of one element; Count is the number of its windows, 0 where it is not known to the compiler.
template <class T, class S, bool Overwrite, int Count>
DESALI_INLINE void gather_pixel(const Window<T, S>* windows, int64_t any_count, S relevant, const uint8_t* bits,
                                bool backward, int64_t channels, T* out) {
    constexpr int lanes = Simd<T>::lanes;
    const int64_t count = Count ? Count : any_count;
    int64_t c = 0;
    for (; c + lanes <= channels; c += lanes) {
        Vector<T> sum{};
#pragma GCC unroll 4
        for (int64_t i = 0; i < count; ++i) {
            const Window<T, S>& window = windows[i];
            if constexpr (Overwrite) {
                Vector<T> v = window.signal ? load<Vector<T>>(window.signal + c) : Vector<T>{};
                sum = pointing<T, S>(window.switches + c, relevant, window.code) ? v : sum;
            } else {
                sum = add_pointing<T, S>(sum, window.signal + c, window.switches + c, relevant, window.code);
            }
        }
        if (backward) sum = rectify<T>(sum);
        if (bits) sum = keep<T>(lanes_of_bits<T>(bits, c), sum);
        store(out + c, sum);
    }
    for (; c < channels; ++c) {
        T sum = 0;
        for (int64_t i = 0; i < count; ++i) {
            if ((S)(windows[i].switches[c] & relevant) != windows[i].code) continue;
            T v = windows[i].signal ? windows[i].signal[c] : T(0);
            sum = Overwrite ? v : sum + v;
        }
        if (backward) sum = rectify(sum);
        if (bits) sum = bit(bits, c) ? sum : T(0);
        out[c] = sum;
    }
}

template <class T, class S>
DESALI_INLINE void gather_sum(const Window<T, S>* windows, int64_t count, S relevant, const uint8_t* bits,
                              bool backward, int64_t channels, T* out) {
    switch (count) {
        case 1:
            return gather_pixel<T, S, false, 1>(windows, count, relevant, bits, backward, channels, out);
        case 2:
            return gather_pixel<T, S, false, 2>(windows, count, relevant, bits, backward, channels, out);
        case 4:
            return gather_pixel<T, S, false, 4>(windows, count, relevant, bits, backward, channels, out);
        default:
            return gather_pixel<T, S, false, 0>(windows, count, relevant, bits, backward, channels, out);
    }
}

template <class T, class S>
void run(const MaxUnpoolArguments& a) {
    constexpr S top = (S)((S)1 << (8 * sizeof(S) - 1));
    const S relevant = a.positive_bit ? (S) ~(S)0 : (S)(top - 1);
    int64_t most_y = ceil_div((a.y_axis.kernel - 1) * a.y_axis.dilation + 1, a.y_axis.stride);
    int64_t most_x = ceil_div((a.x_axis.kernel - 1) * a.x_axis.dilation + 1, a.x_axis.stride);
    most_y = least(most_y, least(a.p, a.y_axis.kernel)) + 1;
    most_x = least(most_x, least(a.q, a.x_axis.kernel)) + 1;
    Scratch<Cover> columns(a.map_w * most_x);
    Scratch<int64_t> column_counts(a.map_w);
    for (int64_t x = 0; x < a.map_w; ++x)
        column_counts[x] = cover(a.x_axis, x, a.q, !a.use_switches, &columns[x * most_x]);
    int64_t pixel_bytes = a.c * (int64_t)sizeof(T);
    parallel_ranges(a.n * a.out_h * a.k, a.n * a.k * a.out_h * a.out_w * a.c, [&](int64_t begin, int64_t end) {
        Scratch<Cover> rows(most_y);
        Scratch<Window<T, S>> windows(most_y * most_x);
        for (int64_t task = begin; task < end; ++task) {
            int64_t n = task / (a.out_h * a.k), r = task / a.k % a.out_h, nk = n * a.k + task % a.k;
            int64_t y = r + a.out_origin.y(nk), x0 = a.out_origin.x(nk), top_y = a.origin.y(nk), top_x = a.origin.x(nk);
            T* out = static_cast<T*>(a.out) + (nk * a.out_h + r) * a.out_w * a.c;
            const T* signal = static_cast<const T*>(a.signal) + nk * a.h * a.w * a.c;
            const S* switches = static_cast<const S*>(a.switches) + n * a.p * a.q * a.c;
            int64_t row_count = y >= 0 && y < a.map_h ? cover(a.y_axis, y, a.p, !a.use_switches, rows.get()) : 0;
            for (int64_t i = 0; i < a.out_w; ++i, out += a.c) {
                int64_t x = i + x0, count = 0;
                bool inside = x >= 0 && x < a.map_w;
                for (int64_t u = 0; inside && u < row_count; ++u)
                    for (int64_t v = 0; v < column_counts[x]; ++v) {
                        Cover down = rows[u], across = columns[x * most_x + v];
                        int64_t sy = down.window - top_y, sx = across.window - top_x;
                        bool in_region = sy >= 0 && sy < a.h && sx >= 0 && sx < a.w;
                        if (!in_region && !a.overwrite) continue;
                        S code = (S)(down.offset * a.x_axis.kernel + across.offset);
                        windows[count++] = {in_region ? signal + (sy * a.w + sx) * a.c : nullptr,
                                            switches + (down.window * a.q + across.window) * a.c,
                                            (S)(a.positive_bit ? code | top : code)};
                    }
                if (count == 0) {
                    std::memset(out, 0, (size_t)pixel_bytes);
                    continue;
                }
                const uint8_t* bits = mask_at(a.relu, n, y, x, a.map_h, a.map_w, a.c);
                if (!a.use_switches) {  // a position is the centre of one window at most
                    if (windows[0].signal)
                        rectify_run(windows[0].signal, out, bits, a.relu.backward, a.c);
                    else
                        std::memset(out, 0, (size_t)pixel_bytes);
                } else if (a.overwrite) {
                    gather_pixel<T, S, true, 0>(windows.get(), count, relevant, bits, a.relu.backward, a.c, out);
                } else {
                    gather_sum<T, S>(windows.get(), count, relevant, bits, a.relu.backward, a.c, out);
                }
            }
        }
    });
}

template <class T>
void run(const MaxUnpoolArguments& a) {
    if (a.n * a.k * a.out_h * a.out_w * a.c == 0) return;
    if (a.switch_bytes == 1)
        run<T, uint8_t>(a);
    else if (a.switch_bytes == 2)
        run<T, uint16_t>(a);
    else
        run<T, uint32_t>(a);
}

}  // namespace

void max_unpool(const MaxUnpoolArguments& a) {
    if (a.dtype == DType::f32)
        run<float>(a);
    else
        run<double>(a);
}

}  // namespace DESALI_LEVEL
}  // namespace desali
