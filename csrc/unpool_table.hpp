// Where the elements of some rows of an unpooled map come from: for each element its windows and, packed to bits, the
// channels whose switch points here. Every seed that looks at the same place shares one table, so that finding windows
// and comparing switches is done once, and what is left for a seed is to add the chosen values.
#pragma once

#include "max_unpool.hpp"
#include "parallel.hpp"

namespace desali {
namespace DESALI_LEVEL {
namespace {

// Bit i: the switch p[i], as far as it is relevant, equals the code; count <= 64, the bits beyond are zero.
template <class S>
DESALI_INLINE uint64_t pointing(const S* p, S relevant, S code, int64_t count) {
#if DESALI_VECTOR_BYTES == 64
    const uint64_t all = count < 64 ? ((uint64_t)1 << count) - 1 : ~(uint64_t)0;
    if constexpr (sizeof(S) == 1) {
        __m512i here = _mm512_and_si512(_mm512_maskz_loadu_epi8(all, p), _mm512_set1_epi8((char)relevant));
        return _mm512_mask_cmpeq_epi8_mask(all, here, _mm512_set1_epi8((char)code));
    } else if constexpr (sizeof(S) == 2) {
        uint64_t word = 0;
        for (int part = 0; part < 2; ++part) {
            __mmask32 some = (__mmask32)(all >> (32 * part));
            __m512i here = _mm512_maskz_loadu_epi16(some, p + 32 * part);
            here = _mm512_and_si512(here, _mm512_set1_epi16((short)relevant));
            word |= (uint64_t)_mm512_mask_cmpeq_epi16_mask(some, here, _mm512_set1_epi16((short)code)) << (32 * part);
        }
        return word;
    }
#elif defined(__AVX2__)
    if constexpr (sizeof(S) == 1)
        if (count == 64) {
            uint64_t word = 0;
            for (int part = 0; part < 2; ++part) {
                __m256i here = _mm256_loadu_si256((const __m256i*)(p + 32 * part));
                here = _mm256_and_si256(here, _mm256_set1_epi8((char)relevant));
                here = _mm256_cmpeq_epi8(here, _mm256_set1_epi8((char)code));
                word |= (uint64_t)(uint32_t)_mm256_movemask_epi8(here) << (32 * part);
            }
            return word;
        }
#elif defined(__SSE2__)
    if constexpr (sizeof(S) == 1)
        if (count == 64) {
            uint64_t word = 0;
            for (int part = 0; part < 4; ++part) {
                __m128i here = _mm_loadu_si128((const __m128i*)(p + 16 * part));
                here = _mm_and_si128(here, _mm_set1_epi8((char)relevant));
                here = _mm_cmpeq_epi8(here, _mm_set1_epi8((char)code));
                word |= (uint64_t)(uint16_t)_mm_movemask_epi8(here) << (16 * part);
            }
            return word;
        }
#endif
    uint64_t word = 0;
    for (int64_t i = 0; i < count; ++i) word |= (uint64_t)((S)(p[i] & relevant) == code) << i;
    return word;
}

// Up to eight bytes of packed bits as one word, bit i of byte b at 8 b + i.
DESALI_INLINE uint64_t load_word(const uint8_t* bits, int64_t octets) {
    uint64_t word = 0;
    if (octets >= 8)
        std::memcpy(&word, bits, 8);
    else
        std::memcpy(&word, bits, (size_t)octets);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    return word;
}

DESALI_INLINE void store_word(uint8_t* bits, uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    std::memcpy(bits, &word, 8);
}

// Windows (index, offset) that cover a position along one axis, in ascending order.
struct Cover {
    int64_t window, offset;

    static int64_t find(const Axis& axis, int64_t position, int64_t windows, bool centre, Cover* to) {
        int64_t count = 0, last = least(windows - 1, axis.last_window(position));
        for (int64_t p = most(0, axis.first_window(position)); p <= last; ++p) {
            int64_t k = axis.offset(position, p);
            if (k >= 0 && (!centre || k == (axis.kernel + 1) / 2 - 1)) to[count++] = {p, k};
        }
        return count;
    }

    // Most windows that cover one position.
    static int64_t most_of(const Axis& axis, int64_t windows) {
        int64_t reach = ceil_div((axis.kernel - 1) * axis.dilation + 1, axis.stride);
        return most(1, least(reach, least(windows, axis.kernel)));
    }
};

// What a table depends on besides its rows.
struct Place {
    int64_t n, y, x, top, left;  // image, first element of the output's window, first window of the signal's region

    bool operator==(const Place& other) const {
        return n == other.n && y == other.y && x == other.x && top == other.top && left == other.left;
    }
};

// The columns' windows, once for a call.
class Columns {
  public:
    explicit Columns(const MaxUnpoolArguments& a)
        : most_(Cover::most_of(a.x_axis, a.q)), covers_(a.map_w * most_), counts_(a.map_w) {
        for (int64_t x = 0; x < a.map_w; ++x)
            counts_[x] = Cover::find(a.x_axis, x, a.q, !a.use_switches, &covers_[x * most_]);
    }
    int64_t most_windows() const { return most_; }
    int64_t count(int64_t x) const { return counts_[x]; }
    const Cover* covers(int64_t x) const { return &covers_[x * most_]; }

  private:
    int64_t most_;
    Scratch<Cover> covers_;
    Scratch<int64_t> counts_;
};

// S: the type of a switch.
template <class S>
class UnpoolTable {
  public:
    UnpoolTable(const MaxUnpoolArguments& a, const Columns& columns, int64_t rows)
        : a_(a),
          columns_(columns),
          words_(ceil_div(a.c, 64)),
          rows_(Cover::most_of(a.y_axis, a.p)),
          begin_(rows * a.out_w + 1),
          at_(rows * a.out_w * rows_size()),
          bits_(rows * a.out_w * rows_size() * words_ * 8),
          taken_(words_) {}

    // Bytes of a table of one row.
    static int64_t row_bytes(const MaxUnpoolArguments& a, const Columns& columns) {
        return a.out_w * Cover::most_of(a.y_axis, a.p) * columns.most_windows() * (ceil_div(a.c, 64) + 1) * 8;
    }

    // Fill for the rows [first, last) of the output's window.
    void fill(const Place& place, int64_t first, int64_t last) {
        int64_t element = 0, count = 0;
        for (int64_t r = first; r < last; ++r) {
            int64_t y = place.y + r;
            bool inside = y >= 0 && y < a_.map_h;
            int64_t high = inside ? Cover::find(a_.y_axis, y, a_.p, !a_.use_switches, rows_.get()) : 0;
            for (int64_t i = 0; i < a_.out_w; ++i) {
                begin_[element++] = count;
                int64_t x = place.x + i;
                if (high && x >= 0 && x < a_.map_w) count = add_element(place, y, high, x, count);
            }
        }
        begin_[element] = count;
    }

    int64_t octets() const { return words_ * 8; }  // from one source's bits to the next
    int64_t begin(int64_t element) const { return begin_[element]; }
    const int64_t* at() const { return at_.get(); }  // of a source: its first channel in the signal's region
    const uint8_t* bits() const { return bits_.get(); }

  private:
    static constexpr S top = (S)((S)1 << (8 * sizeof(S) - 1));

    int64_t rows_size() const { return Cover::most_of(a_.y_axis, a_.p) * columns_.most_windows(); }

    // Sources of map element (y, x), which `high` rows of windows cover; returns the number of sources up to here.
    int64_t add_element(const Place& place, int64_t y, int64_t high, int64_t x, int64_t count) {
        const uint8_t* mask =
            a_.relu.mask ? a_.relu.mask + ((place.n * a_.map_h + y) * a_.map_w + x) * ((a_.c + 7) / 8) : nullptr;
        int64_t wide = columns_.count(x), total = high * wide;
        const Cover* across = columns_.covers(x);
        if (a_.overwrite && a_.use_switches) {
            // From the last window to the first: what has pointed here leaves nothing to the windows before it.
            std::memset(taken_.get(), 0, (size_t)(words_ * 8));
            for (int64_t i = total - 1; i >= 0; --i)
                count += add<true>(place, rows_[i / wide], across[i % wide], mask, count);
            return count;
        }
        for (int64_t u = 0; u < high; ++u)
            for (int64_t v = 0; v < wide; ++v) count += add<false>(place, rows_[u], across[v], mask, count);
        return count;
    }

    // Source number `count`, from one window: 1, or 0 where the window lies outside the region.
    template <bool Overwrite>
    int64_t add(const Place& place, const Cover& down, const Cover& across, const uint8_t* mask, int64_t count) {
        int64_t y = down.window - place.top, x = across.window - place.left;
        bool inside = y >= 0 && y < a_.h && x >= 0 && x < a_.w;
        if (!inside && !Overwrite) return 0;
        const S relevant = a_.positive_bit ? (S) ~(S)0 : (S)(top - 1);
        const S code = (S)((S)(down.offset * a_.x_axis.kernel + across.offset) | (a_.positive_bit ? top : (S)0));
        const S* switches =
            static_cast<const S*>(a_.switches) + ((place.n * a_.p + down.window) * a_.q + across.window) * a_.c;
        uint8_t* bits = &bits_[count * words_ * 8];
        for (int64_t w = 0; w < words_; ++w) {
            int64_t channels = least(64, a_.c - 64 * w);
            uint64_t word = ~(uint64_t)0;
            if (a_.use_switches) word = pointing<S>(switches + 64 * w, relevant, code, channels);
            if constexpr (Overwrite) {
                word &= ~taken_[w];
                taken_[w] |= word;
            }
            if (mask) word &= load_word(mask + 8 * w, (channels + 7) / 8);
            if (channels < 64) word &= ((uint64_t)1 << channels) - 1;
            if (inside) store_word(bits + 8 * w, word);
        }
        if (inside) at_[count] = (y * a_.w + x) * a_.c;
        return inside;
    }

    const MaxUnpoolArguments& a_;
    const Columns& columns_;
    int64_t words_;
    Scratch<Cover> rows_;
    Scratch<int64_t> begin_;
    Scratch<int64_t> at_;
    Scratch<uint8_t> bits_;
    Scratch<uint64_t> taken_;
};

}  // namespace
}  // namespace DESALI_LEVEL
}  // namespace desali
