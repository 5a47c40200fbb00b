// The ops written as plainly as possible: what the kernels are compared with under the sanitizers.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "conv_transpose.hpp"
#include "fingerprint.hpp"
#include "max_pool.hpp"
#include "max_unpool.hpp"

namespace naive {

using namespace desali;

inline bool bit(const uint8_t* mask, int64_t pixel, int64_t channels, int64_t c) {
    return mask[pixel * ((channels + 7) / 8) + c / 8] >> (c % 8) & 1;
}

// The inverse ReLU of one element at map position (y, x) of image n; zero outside the map.
template <class T>
T close(T v, const InverseRelu& relu, int64_t n, int64_t y, int64_t x, int64_t map_h, int64_t map_w, int64_t channels,
        int64_t c) {
    if (y < 0 || y >= map_h || x < 0 || x >= map_w) return 0;
    if (relu.backward && v <= 0) return 0;
    return relu.mask && !bit(relu.mask, (n * map_h + y) * map_w + x, channels, c) ? T(0) : v;
}

// Word by word. The lines of a tensor read in part are marked first.
inline uint64_t fingerprint(const std::vector<uint8_t>& tensor, int64_t whole, int64_t lines) {
    const int64_t bytes = static_cast<int64_t>(tensor.size()), total = bytes / 64;
    std::vector<bool> read(static_cast<size_t>(total), bytes <= whole || total < lines);
    for (int64_t part = 0; part < lines && total >= lines; ++part) {
        int64_t chosen = fingerprints::chosen_line(part, lines, total);
        if (chosen / (total / lines) != part && part + 1 < lines) return 0;  // outside its part
        read[static_cast<size_t>(chosen)] = true;
    }
    uint64_t sum = static_cast<uint64_t>(bytes) * 0x9E3779B97F4A7C15u;
    for (int64_t at = 0; at < bytes; at += 8) {
        if (at / 64 < total && !read[static_cast<size_t>(at / 64)]) continue;
        uint64_t word = 0;
        for (int64_t k = 0; k < 8 && at + k < bytes; ++k)
            word |= static_cast<uint64_t>(tensor[static_cast<size_t>(at + k)]) << 8 * k;
        uint64_t x = word ^ static_cast<uint64_t>(at / 8 + 1) * 0x9E3779B97F4A7C15u;
        x = (x ^ x >> 32) * 0x9E3779B1u;
        x = (x ^ x >> 29) * 0x85EBCA77u;
        sum += x ^ x >> 32;
    }
    return sum;
}

// Pooled value and window offset of one window.
template <class T>
T pool(const MaxPoolArguments& a, const T* x, int64_t n, int64_t c, int64_t p, int64_t q, int64_t* offset) {
    T best = -std::numeric_limits<T>::infinity();
    *offset = -1;
    for (int64_t k = 0; k < a.y_axis.kernel; ++k)
        for (int64_t l = 0; l < a.x_axis.kernel; ++l) {
            int64_t y = a.y_axis.position(p, k), column = a.x_axis.position(q, l);
            if (y < 0 || y >= a.h || column < 0 || column >= a.w) continue;
            T v = a.channels_last ? x[((n * a.h + y) * a.w + column) * a.c + c]
                                  : x[((n * a.c + c) * a.h + y) * a.w + column];
            if (*offset < 0 || v > best || std::isnan(v)) best = v, *offset = k * a.x_axis.kernel + l;
        }
    return best;
}

// One element (y, x) of the map below an unpooling, before the inverse ReLU.
template <class T>
T unpool(const MaxUnpoolArguments& a, const T* signal, int64_t nk, int64_t y, int64_t x, int64_t c,
         int64_t (*code)(const MaxUnpoolArguments&, int64_t)) {
    T sum = 0;
    int64_t top = int64_t(1) << (8 * a.switch_bytes - 1);
    for (int64_t p = 0; p < a.p; ++p)
        for (int64_t q = 0; q < a.q; ++q) {
            int64_t k = a.y_axis.offset(y, p), l = a.x_axis.offset(x, q);
            if (k < 0 || l < 0) continue;
            int64_t here = code(a, ((nk / a.k * a.p + p) * a.q + q) * a.c + c);
            bool points = a.use_switches ? (here & (top - 1)) == k * a.x_axis.kernel + l
                                         : k == (a.y_axis.kernel + 1) / 2 - 1 && l == (a.x_axis.kernel + 1) / 2 - 1;
            if (!points || (a.positive_bit && !(here & top))) continue;
            int64_t sy = p - a.origin.y(nk), sx = q - a.origin.x(nk);
            bool inside = sy >= 0 && sy < a.h && sx >= 0 && sx < a.w;
            T v = inside ? signal[((nk * a.h + sy) * a.w + sx) * a.c + c] : T(0);
            sum = a.overwrite ? v : sum + v;
        }
    return sum;
}

// One element (y, x) of a transposed convolution, before the inverse ReLU; `weight` is [O, I / groups, kh, kw].
template <class T>
double conv(const ConvArguments& a, const T* signal, const T* weight, int64_t nk, int64_t y, int64_t x, int64_t i) {
    double sum = 0;
    int64_t inputs = a.o / a.groups, outputs = a.i / a.groups, group = i / outputs;
    for (int64_t sy = 0; sy < a.h; ++sy)
        for (int64_t sx = 0; sx < a.w; ++sx) {
            int64_t k = a.y_axis.offset(y, sy + a.origin.y(nk)), l = a.x_axis.offset(x, sx + a.origin.x(nk));
            if (k < 0 || l < 0) continue;
            for (int64_t o = group * inputs; o < (group + 1) * inputs; ++o)
                sum += double(signal[((nk * a.h + sy) * a.w + sx) * a.o + o]) *
                       double(weight[((o * outputs + i % outputs) * a.y_axis.kernel + k) * a.x_axis.kernel + l]);
        }
    return sum;
}

}  // namespace naive
