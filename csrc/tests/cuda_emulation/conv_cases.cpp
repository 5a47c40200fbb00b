#include "check.hpp"
#include "conv_transpose.hpp"

namespace check {
namespace {

using desali::CudaWay;

struct ConvGeometry {
    int64_t n, k, o, i, groups, h, w, map_h, map_w;
    Axis y, x;
    bool region, window, masked, backward, fractions;
};

const char* name_of_way(CudaWay way) {
    return way == CudaWay::plain   ? "plain"
           : way == CudaWay::tiles ? "tiles"
           : way == CudaWay::cells ? "cells"
                                   : "sparse";
}

std::string describe(const ConvGeometry& g, DType type, CudaWay way, bool tf32) {
    return text(
        "conv_transpose %s %s tf32 %d n %d k %d o %d i %d groups %d signal %dx%d map %dx%d, y %s, x %s, region %d "
        "window %d masked %d backward %d fractions %d",
        name_of(type), name_of_way(way), tf32, int(g.n), int(g.k), int(g.o), int(g.i), int(g.groups), int(g.h),
        int(g.w), int(g.map_h), int(g.map_w), name_of(g.y).c_str(), name_of(g.x).c_str(), g.region, g.window, g.masked,
        g.backward, g.fractions);
}

// A number as the tensor cores see it, rounded to ten bits, ties away from zero.
double seen(double value, bool tf32) {
    if (!tf32) return value;
    float number = static_cast<float>(value);
    uint32_t bits;
    std::memcpy(&bits, &number, 4);
    bits = (bits + 0x1000) & 0xffffe000;
    std::memcpy(&number, &bits, 4);
    return number;
}

template <class T>
void conv(DType type, Random& random, const ConvGeometry& g, CudaWay way, bool tf32, int64_t shift = 0) {
    next_case();
    int64_t seeds = g.n * g.k, inner = g.i / g.groups, depth = g.o / g.groups, kh = g.y.kernel, kw = g.x.kernel;
    int64_t out_h = g.window ? random(1, 12) : g.map_h, out_w = g.window ? random(1, 12) : g.map_w;
    Buffer<T> signal(seeds * g.h * g.w * g.o, shift), weight(g.o * inner * kh * kw), out(seeds * out_h * out_w * g.i);
    Buffer<uint8_t> mask(g.n * g.map_h * g.map_w * ((g.i + 7) / 8));
    Buffer<int64_t> origin(seeds * 2), out_origin(seeds * 2);
    fill(signal, random, 3, random.pick({0, 40, 40, 95, 100}));
    fill(weight, random, 2, 10);
    if (g.fractions) {
        for (int64_t i = 0; i < signal.size(); ++i) signal[i] = number<T>(double(random(-100000, 100000)) / 70001);
        for (int64_t i = 0; i < weight.size(); ++i) weight[i] = number<T>(double(random(-100000, 100000)) / 60013);
    }
    fill_bytes(mask, random);
    fill_origins(origin, random, desali::ceil_div(g.map_h, g.y.stride), desali::ceil_div(g.map_w, g.x.stride));
    fill_origins(out_origin, random, g.map_h, g.map_w);
    bool cells = way == CudaWay::cells;
    int64_t taps_y = desali::ceil_div(kh, g.y.stride), taps_x = desali::ceil_div(kw, g.x.stride);
    int64_t phases = g.y.stride * g.x.stride;
    Buffer<T> packed(cells ? taps_y * taps_x * phases * g.i * g.o : kh * kw * g.i * depth, shift);
    for (int64_t at = 0; at < packed.size(); ++at) packed[at] = number<T>(0);
    for (int64_t o = 0; o < g.o; ++o)
        for (int64_t i = 0; i < inner; ++i)
            for (int64_t ky = 0; ky < kh; ++ky)
                for (int64_t kx = 0; kx < kw; ++kx) {
                    int64_t row = (ky * kw + kx) * g.i + o / depth * inner + i;
                    if (cells) {
                        int64_t tap = ky / g.y.stride * taps_x + kx / g.x.stride;
                        row = (tap * phases + ky % g.y.stride * g.x.stride + kx % g.x.stride) * g.i + i;
                    }
                    int64_t place = row * depth + o % depth;
                    if (way == CudaWay::sparse) place = ((ky * kw + kx) * g.o + o) * inner + i;
                    packed[place] = weight[((o * inner + i) * kh + ky) * kw + kx];
                }
    Buffer<double> scratch(
        desali::ceil_div(desali::sparse_scratch_bytes(type, seeds * g.h * g.w, g.o, g.groups), sizeof(double)));
    desali::ConvArguments a{type,
                            signal.data(),
                            packed.data(),
                            out.data(),
                            {g.masked ? mask.data() : nullptr, g.backward},
                            {g.region ? origin.data() : nullptr},
                            {g.window ? out_origin.data() : nullptr},
                            g.n,
                            g.k,
                            g.o,
                            g.i,
                            g.h,
                            g.w,
                            out_h,
                            out_w,
                            g.map_h,
                            g.map_w,
                            g.groups,
                            g.y,
                            g.x,
                            nullptr,
                            way,
                            tf32,
                            way == CudaWay::sparse ? scratch.data() : nullptr};
    desali::conv_transpose_cuda(a, nullptr);
    finish_device();
    // Scatter of every value over its kernel.
    bool rounds = tf32 && way != CudaWay::plain && way != CudaWay::sparse;
    std::vector<double> sums(static_cast<size_t>(out.size()), 0.0), sizes(static_cast<size_t>(out.size()), 0.0);
    for (int64_t nk = 0; nk < seeds; ++nk)
        for (int64_t sy = 0; sy < g.h; ++sy)
            for (int64_t sx = 0; sx < g.w; ++sx) {
                int64_t top = sy + (g.region ? origin[2 * nk] : 0), left = sx + (g.region ? origin[2 * nk + 1] : 0);
                for (int64_t ky = 0; ky < kh; ++ky)
                    for (int64_t kx = 0; kx < kw; ++kx) {
                        int64_t y = g.y.position(top, ky), x = g.x.position(left, kx);
                        if (y < 0 || y >= g.map_h || x < 0 || x >= g.map_w) continue;
                        y -= g.window ? out_origin[2 * nk] : 0;
                        x -= g.window ? out_origin[2 * nk + 1] : 0;
                        if (y < 0 || y >= out_h || x < 0 || x >= out_w) continue;
                        for (int64_t o = 0; o < g.o; ++o) {
                            double v = seen(value_of(signal[((nk * g.h + sy) * g.w + sx) * g.o + o]), rounds);
                            if (v == 0) continue;
                            for (int64_t i = 0; i < inner; ++i) {
                                double term = v * seen(value_of(weight[((o * inner + i) * kh + ky) * kw + kx]), rounds);
                                size_t at =
                                    static_cast<size_t>(((nk * out_h + y) * out_w + x) * g.i + o / depth * inner + i);
                                sums[at] += term;
                                sizes[at] += std::abs(term);
                            }
                        }
                    }
            }
    Comparison compare(describe(g, type, way, tf32));
    for (int64_t at = 0; at < out.size(); ++at) {
        int64_t i = at % g.i, nk = at / (g.i * out_w * out_h);
        int64_t y = at / (g.i * out_w) % out_h + (g.window ? out_origin[2 * nk] : 0);
        int64_t x = at / g.i % out_w + (g.window ? out_origin[2 * nk + 1] : 0);
        bool inside = y >= 0 && y < g.map_h && x >= 0 && x < g.map_w;
        double expected = sums[static_cast<size_t>(at)], tolerance = 0;
        if (g.fractions) {
            double unit = sizeof(T) == 8 ? 1e-14 : 2e-6;
            double rounding = sizeof(T) == 2 ? std::abs(expected) / (type == DType::f16 ? 1000 : 120) + 1e-6 : 0;
            tolerance = unit * sizes[static_cast<size_t>(at)] + rounding;
        } else {
            expected = value_of(number<T>(expected));
        }
        bool passes = inside && !(g.masked && !bit(mask, (nk / g.k * g.map_h + y) * g.map_w + x, g.i, i));
        if (!passes || (g.backward && expected <= 0)) expected = 0;
        compare.equal("out", at, value_of(out[at]), expected, tolerance);
    }
}

// Every way and precision that fits the geometry.
void every_way(Random& random, const ConvGeometry& g, bool plain) {
    for (DType type : every_type)
        desali::with_type(type, [&](auto zero) {
            using T = decltype(zero);
            bool cells = g.groups == 1 && g.y.dilation == 1 && g.x.dilation == 1;
            int64_t shift = random.chance(10) ? 1 : 0;
            if (plain) conv<T>(type, random, g, CudaWay::plain, false);
            conv<T>(type, random, g, CudaWay::sparse, false, shift);
            for (bool tf32 : {false, true}) {
                if (tf32 && type != DType::f32) continue;
                conv<T>(type, random, g, CudaWay::tiles, tf32, shift);
                if (cells && g.i * g.y.stride * g.x.stride <= 150)
                    conv<T>(type, random, g, CudaWay::cells, tf32, shift);
            }
            if (plain && cells) {  // the plain kernel on the other layout, as for sizes that the tiles do not take
                ConvGeometry large = g;
                large.y.stride = 1025, large.y.padding = 3;
                conv<T>(type, random, large, CudaWay::tiles, false);
                if (g.i <= 2 && g.o <= 3) conv<T>(type, random, large, CudaWay::cells, false);
            }
        });
}

Axis random_axis(Random& random) {
    return {random(1, 5), random(1, 4), random(0, 3), random.chance(70) ? 1 : random(1, 4)};
}

}  // namespace

void conv_cases(int rounds) {
    Random random(4);
    for (int round = 0; round < rounds; ++round) {
        ConvGeometry g;
        g.groups = random.pick<int64_t>({1, 1, 1, 2, 3});
        g.o = g.groups * random.pick<int64_t>({1, 2, 3, 8, 16, 20, 40, 70});
        g.i = g.groups * random.pick<int64_t>({1, 2, 3, 8, 17});
        g.n = random(1, 2), g.k = random(0, 9) ? random(1, 2) : 0;
        g.h = random(1, 5), g.w = random(0, 19) ? random(1, 5) : 0;
        g.map_h = random(1, 12), g.map_w = random(1, 12);
        g.y = random_axis(random), g.x = random_axis(random);
        g.region = random.chance(50), g.window = random.chance(50);
        g.masked = random.chance(50), g.backward = random.chance(50), g.fractions = random.chance(30);
        every_way(random, g, true);
    }
    // The image step of AlexNet, small; several tiles of columns; several tiles of rows; strides and dilations with a
    // common factor, so that some phases have no tap; a ResNet stem.
    Axis eleven{11, 4, 2, 1}, three{3, 1, 1, 1}, seven{7, 2, 3, 1}, even{4, 2, 1, 2}, common{5, 4, 3, 6};
    every_way(random, {1, 1, 16, 3, 1, 5, 6, 23, 25, eleven, eleven, false, false, false, false, false}, false);
    every_way(random, {1, 1, 24, 70, 1, 4, 3, 4, 3, three, three, false, false, true, true, false}, false);
    every_way(random, {1, 2, 8, 20, 1, 9, 9, 9, 9, three, three, false, false, true, true, true}, false);
    every_way(random, {1, 2, 8, 9, 1, 5, 4, 11, 13, even, common, false, false, false, true, false}, false);
    every_way(random, {1, 2, 6, 4, 2, 4, 5, 14, 12, common, even, true, true, true, false, false}, false);
    every_way(random, {2, 1, 20, 3, 1, 4, 4, 8, 7, seven, seven, false, false, false, true, true}, false);
}

}  // namespace check
