#include "check.hpp"
#include "inverse_relu.hpp"
#include "relu_with_mask.hpp"

namespace check {
namespace {

template <class T>
void relu(DType type, Random& random, bool channels_last, int64_t n, int64_t c, int64_t s, int64_t shift) {
    next_case();
    Buffer<T> x(n * c * s, shift), y(n * c * s, shift);
    Buffer<uint8_t> mask(n * s * ((c + 7) / 8));
    fill(x, random, 9, 30, 5);
    double upper = random.chance(50) ? 6.0 : std::numeric_limits<double>::quiet_NaN();
    desali::relu_with_mask_cuda({type, x.data(), y.data(), mask.data(), channels_last, upper, n, c, s}, nullptr);
    finish_device();
    Comparison compare(text("relu_with_mask %s channels_last %d n %d c %d s %d shift %d", name_of(type), channels_last,
                            int(n), int(c), int(s), int(shift)));
    std::vector<uint8_t> expected(static_cast<size_t>(mask.size()), 0);
    for (int64_t image = 0; image < n; ++image)
        for (int64_t pixel = 0; pixel < s; ++pixel)
            for (int64_t channel = 0; channel < c; ++channel) {
                int64_t at = channels_last ? (image * s + pixel) * c + channel : (image * c + channel) * s + pixel;
                double v = value_of(x[at]), out = v < 0 ? 0 : v;
                if (out >= upper) out = upper;
                bool positive = !(v <= 0) && !(v >= upper);
                size_t byte = static_cast<size_t>((image * s + pixel) * ((c + 7) / 8) + channel / 8);
                if (positive) expected[byte] = static_cast<uint8_t>(expected[byte] | 1 << (channel % 8));
                compare.equal("y", at, value_of(y[at]), out);
            }
    for (int64_t i = 0; i < mask.size(); ++i) compare.equal("mask", i, mask[i], expected[static_cast<size_t>(i)]);
}

template <class T>
void inverse(DType type, Random& random, int64_t n, int64_t k, int64_t c, int64_t h, int64_t w, bool window,
             int64_t shift) {
    next_case();
    int64_t map_h = window ? random(1, 9) : h, map_w = window ? random(1, 9) : w;
    int layout = static_cast<int>(random(0, 2));  // channels-last, with a gap after each pixel, or channels first
    int64_t pitch = layout == 1 ? c + random.pick<int64_t>({1, 8}) : c;
    int64_t stride_c = 1, stride_x = pitch, stride_y = w * pitch, stride_k = h * w * pitch;
    if (layout == 2) stride_c = h * w, stride_x = 1, stride_y = w, stride_k = c * h * w;
    bool in_place = layout == 0 && random.chance(30), masked = random.chance(70), backward = random.chance(70);
    Buffer<T> signal(n * k * stride_k, shift), out(in_place ? 0 : n * k * h * w * c, shift);
    Buffer<uint8_t> mask(n * map_h * map_w * ((c + 7) / 8));
    Buffer<int64_t> origin(n * k * 2);
    fill(signal, random, 9, 20, 5);
    fill_bytes(mask, random);
    fill_origins(origin, random, map_h, map_w);
    std::vector<double> given(static_cast<size_t>(signal.size()));
    for (int64_t i = 0; i < signal.size(); ++i) given[static_cast<size_t>(i)] = value_of(signal[i]);
    T* to = in_place ? signal.data() : out.data();
    desali::InverseReluArguments a{type,
                                   signal.data(),
                                   k * stride_k,
                                   stride_k,
                                   stride_c,
                                   stride_y,
                                   stride_x,
                                   to,
                                   {masked ? mask.data() : nullptr, backward},
                                   {window ? origin.data() : nullptr},
                                   n,
                                   k,
                                   c,
                                   h,
                                   w,
                                   map_h,
                                   map_w};
    desali::inverse_relu_cuda(a, nullptr);
    finish_device();
    Comparison compare(text("inverse_relu %s n %d k %d c %d h %d w %d window %d layout %d masked %d backward %d",
                            name_of(type), int(n), int(k), int(c), int(h), int(w), window, layout, masked, backward));
    for (int64_t i = 0; i < n * k * h * w * c; ++i) {
        int64_t channel = i % c, x = i / c % w, y = i / (c * w) % h, nk = i / (c * w * h);
        int64_t map_y = y + (window ? origin[2 * nk] : 0), map_x = x + (window ? origin[2 * nk + 1] : 0);
        double v = given[static_cast<size_t>(nk * stride_k + channel * stride_c + y * stride_y + x * stride_x)];
        bool inside = map_y >= 0 && map_y < map_h && map_x >= 0 && map_x < map_w;
        if (!inside || (backward && v <= 0)) v = 0;
        if (inside && masked && !bit(mask, (nk / k * map_h + map_y) * map_w + map_x, c, channel)) v = 0;
        compare.equal("out", i, value_of(to[i]), v);
    }
}

}  // namespace

void relu_cases(int rounds) {
    Random random(1);
    for (int round = 0; round < rounds; ++round)
        for (DType type : every_type)
            desali::with_type(type, [&](auto zero) {
                using T = decltype(zero);
                int64_t shift = random.chance(25) ? 1 : 0, n = random(0, 2);
                int64_t c = random.pick<int64_t>({1, 3, 8, 9, 16, 24, 64, 70});
                int64_t s = random.pick<int64_t>({0, 1, 5, 16, 33, 96, 264});
                relu<T>(type, random, round % 2, n, c, s, shift);
                inverse<T>(type, random, random(1, 2), random(0, 3), random.pick<int64_t>({1, 3, 4, 8, 12, 16, 40}),
                           random(1, 6), random(0, 6), random.chance(60), shift);
            });
}

}  // namespace check
