// Transposed convolution that walks the non-zeros of the signal. The non-zeros of each pixel are listed once; then each
// row of the output gathers, for every pixel above it, sum_j value_j * weight[channel_j, ky, :] in registers, a run of
// neighbouring outputs at a time. Several seeds take turns at a pixel, since they tend to read the same weights.
#include "conv_transpose.hpp"
#include "parallel.hpp"
#include "rectify.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

template <class T>
int64_t count_all(const CountArguments& a) {
    constexpr int lanes = Simd<T>::lanes;
    const T* signal = static_cast<const T*>(a.signal);
    parallel_ranges(a.pixels, a.pixels * a.channels, [&](int64_t begin, int64_t end) {
        for (int64_t pixel = begin; pixel < end; ++pixel) {
            const T* p = signal + pixel * a.channels;
            Integers<T> minus{};
            int64_t c = 0;
            for (; c + lanes <= a.channels; c += lanes) minus += load<Vector<T>>(p + c) != Vector<T>{};
            int64_t count = 0;
            for (int l = 0; l < lanes; ++l) count -= minus[l];
            for (; c < a.channels; ++c) count += p[c] != 0;
            a.counts[pixel] = (int32_t)count;
        }
    });
    int64_t total = 0;
    for (int64_t pixel = 0; pixel < a.pixels; ++pixel) total += a.counts[pixel];
    return total;
}

// The non-zeros of every pixel: entries start[pixel] to start[pixel + 1] of `channel` and `value`, channels ascending.
template <class T>
struct NonZeros {
    Scratch<int64_t> start;
    int64_t total;
    Scratch<int32_t> channel;
    Scratch<T> value;

    NonZeros(const T* signal, const int32_t* counts, int64_t pixels, int64_t channels)
        : start(pixels + 1), total(sum_up(counts, pixels)), channel(total), value(total) {
        parallel_ranges(pixels, pixels * channels, [&](int64_t begin, int64_t end) {
            for (int64_t pixel = begin; pixel < end; ++pixel)
                if (counts[pixel]) list(signal + pixel * channels, channels, start[pixel]);
        });
    }

  private:
    int64_t sum_up(const int32_t* counts, int64_t pixels) {
        start[0] = 0;
        for (int64_t i = 0; i < pixels; ++i) start[i + 1] = start[i] + counts[i];
        return start[pixels];
    }

    void list(const T* p, int64_t channels, int64_t at) {
        int64_t c = 0;
#if DESALI_VECTOR_BYTES == 64
        if constexpr (sizeof(T) == 4) {
            __m512i index = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            for (; c + 16 <= channels; c += 16) {
                __m512 v = _mm512_loadu_ps(p + c);
                __mmask16 some = _mm512_cmp_ps_mask(v, _mm512_setzero_ps(), _CMP_NEQ_UQ);
                if (!some) continue;
                int count = __builtin_popcount(some);
                __mmask16 low = (__mmask16)((1u << count) - 1);
                __m512i which = _mm512_add_epi32(index, _mm512_set1_epi32((int)c));
                _mm512_mask_storeu_ps(value.get() + at, low, _mm512_maskz_compress_ps(some, v));
                _mm512_mask_storeu_epi32(channel.get() + at, low, _mm512_maskz_compress_epi32(some, which));
                at += count;
            }
        }
#endif
        for (; c < channels; ++c)
            if (p[c] != 0) {
                channel[at] = (int32_t)c;
                value[at++] = p[c];
            }
    }
};

// row[0 .. NV vectors) += sum_j value[j] * weight[channel[j]]; `tail` elements of the last vector count.
template <class T, int NV>
void accumulate(const int32_t* channel, const T* value, int64_t count, const T* weight, int64_t stride, T* row,
                int64_t tail) {
    constexpr int lanes = Simd<T>::lanes;
    Vector<T> sum[NV];
    for (int i = 0; i < NV - 1; ++i) sum[i] = load<Vector<T>>(row + i * lanes);
    sum[NV - 1] = load_part<T>(row + (NV - 1) * lanes, tail);
    for (int64_t j = 0; j < count; ++j) {
        Vector<T> v = broadcast(value[j]);
        const T* w = weight + channel[j] * stride;
#pragma GCC unroll 32
        for (int i = 0; i < NV; ++i) sum[i] += v * load<Vector<T>>(w + i * lanes);
    }
    for (int i = 0; i < NV - 1; ++i) store(row + i * lanes, sum[i]);
    store_part<T>(row + (NV - 1) * lanes, sum[NV - 1], tail);
}

template <class T>
using Accumulate = void (*)(const int32_t*, const T*, int64_t, const T*, int64_t, T*, int64_t);

constexpr int most_vectors = DESALI_REGISTERS == 32 ? 24 : 12;

template <class T, int NV>
Accumulate<T> accumulator(int64_t vectors) {
    if constexpr (NV == 1)
        return accumulate<T, 1>;
    else
        return vectors == NV ? accumulate<T, NV> : accumulator<T, NV - 1>(vectors);
}

// A run of outputs cut into pieces that fit the registers.
template <class T>
struct Pieces {
    static constexpr int lanes = Simd<T>::lanes;
    int64_t vectors, count, used;

    explicit Pieces(int64_t elements)
        : vectors(ceil_div(elements, lanes)), count(ceil_div(vectors, most_vectors)), used(elements) {}
    int64_t begin(int64_t piece) const { return vectors * piece / count * lanes; }
    int64_t size(int64_t piece) const { return vectors * (piece + 1) / count - vectors * piece / count; }
    int64_t tail(int64_t piece) const { return piece + 1 < count ? lanes : used - (vectors - 1) * lanes; }
};

template <class T>
class Walk {
  public:
    Walk(const ConvArguments& a)
        : a_(a),
          layout_(SparseLayout::of(a.i, a.groups, a.x_axis, sizeof(T))),
          pieces_(layout_.used),
          weight_stride_(a.y_axis.kernel * layout_.segments * layout_.length),
          spread_(a.x_axis.spread(a.w)),
          row_size_(ceil_div(spread_ * a.i, 16) * 16),
          found_(static_cast<const T*>(a.signal), a.counts, a.n * a.k * a.h * a.w, a.o) {}

    void run() const {
        int64_t seeds = a_.n * a_.k, threads = thread_count();
        int64_t block = most(1, least(seeds, (192 << 10) / (int64_t)(row_size_ * sizeof(T) + 1)));
        while (block > 1 && ceil_div(seeds, block) * a_.out_h < 4 * threads) block = (block + 1) / 2;
        int64_t blocks = ceil_div(seeds, block);
        int64_t cost = seeds * a_.out_h * a_.out_w * a_.i + found_.total * layout_.used;
        parallel_for(blocks * a_.out_h, cost, [&](int64_t task) {
            int64_t first = task / a_.out_h * block;
            output_row(first, least(seeds, first + block), task % a_.out_h);
        });
    }

  private:
    // Row `r` of the output windows of the seeds [first, last).
    void output_row(int64_t first, int64_t last, int64_t r) const {
        int64_t seeds = last - first;
        Scratch<T> rows(seeds * row_size_);
        Scratch<const int64_t*> above(seeds);
        std::memset(rows.get(), 0, (size_t)(seeds * row_size_) * sizeof(T));
        for (int64_t ky = 0; ky < a_.y_axis.kernel; ++ky) {
            bool any = false;
            for (int64_t b = 0; b < seeds; ++b) {
                above[b] = row_above(first + b, r, ky);
                any |= above[b] != nullptr;
            }
            if (!any) continue;
            for (int64_t x = 0; x < a_.w; ++x)
                for (int64_t segment = 0; segment < layout_.segments; ++segment)
                    for (int64_t piece = 0; piece < pieces_.count; ++piece)
                        visit(rows.get(), above.get(), seeds, ky, x, segment, piece);
        }
        for (int64_t b = 0; b < seeds; ++b) emit(first + b, r, &rows[b * row_size_]);
    }

    // Where the lists of the input row start that meets output row r at kernel row ky, or null.
    const int64_t* row_above(int64_t nk, int64_t r, int64_t ky) const {
        int64_t distance = r + a_.out_origin.y(nk) + a_.y_axis.padding - ky * a_.y_axis.dilation;
        if (floor_div(distance, a_.y_axis.stride) * a_.y_axis.stride != distance) return nullptr;
        int64_t y = floor_div(distance, a_.y_axis.stride) - a_.origin.y(nk);
        return y >= 0 && y < a_.h ? &found_.start[(nk * a_.h + y) * a_.w] : nullptr;
    }

    void visit(T* rows, const int64_t* const* above, int64_t seeds, int64_t ky, int64_t x, int64_t segment,
               int64_t piece) const {
        Accumulate<T> add = accumulator<T, most_vectors>(pieces_.size(piece));
        int64_t shift = pieces_.begin(piece), tail = pieces_.tail(piece);
        const T* weight = static_cast<const T*>(a_.packed) + (ky * layout_.segments + segment) * layout_.length + shift;
        T* to = rows + x * a_.x_axis.stride * a_.i + segment * layout_.step + shift;
        int64_t per_group = a_.o / a_.groups, outputs = a_.i / a_.groups;
        for (int64_t b = 0; b < seeds; ++b, to += row_size_) {
            if (!above[b]) continue;
            int64_t begin = above[b][x], end = above[b][x + 1];
            if (a_.groups == 1) {
                if (begin < end)
                    add(&found_.channel[begin], &found_.value[begin], end - begin, weight, weight_stride_, to, tail);
                continue;
            }
            while (begin < end) {  // the channels ascend, so those of one group are neighbours
                int64_t group = found_.channel[begin] / per_group, stop = begin + 1;
                while (stop < end && found_.channel[stop] / per_group == group) ++stop;
                add(&found_.channel[begin], &found_.value[begin], stop - begin, weight, weight_stride_,
                    to + group * outputs, tail);
                begin = stop;
            }
        }
    }

    // Cut the window out of a finished row, zero what lies outside, and close with the inverse ReLU.
    void emit(int64_t nk, int64_t r, const T* row) const {
        int64_t y = r + a_.out_origin.y(nk), x0 = a_.out_origin.x(nk), channels = a_.i;
        int64_t shift = x0 - (a_.origin.x(nk) * a_.x_axis.stride - a_.x_axis.padding);
        int64_t begin = most(0, most(-shift, -x0)), end = least(a_.out_w, least(spread_ - shift, a_.map_w - x0));
        if (y < 0 || y >= a_.map_h || end < begin) begin = end = 0;
        T* out = static_cast<T*>(a_.out) + (nk * a_.out_h + r) * a_.out_w * channels;
        std::memset(out, 0, (size_t)(begin * channels) * sizeof(T));
        if (begin < end) {
            const uint8_t* bits = mask_at(a_.relu, nk / a_.k, y, x0 + begin, a_.map_h, a_.map_w, channels);
            rectify_pixels(row + (begin + shift) * channels, out + begin * channels, bits, a_.relu.backward,
                           end - begin, channels);
        }
        std::memset(out + end * channels, 0, (size_t)((a_.out_w - end) * channels) * sizeof(T));
    }

    const ConvArguments& a_;
    SparseLayout layout_;
    Pieces<T> pieces_;
    int64_t weight_stride_, spread_, row_size_;
    NonZeros<T> found_;
};

}  // namespace

int64_t count_nonzeros(const CountArguments& a) {
    return a.dtype == DType::f32 ? count_all<float>(a) : count_all<double>(a);
}

void conv_transpose_sparse(const ConvArguments& a) {
    if (a.n * a.k * a.out_h * a.out_w * a.i == 0) return;
    if (a.dtype == DType::f32)
        Walk<float>(a).run();
    else
        Walk<double>(a).run();
}

}  // namespace DESALI_LEVEL
}  // namespace desali
