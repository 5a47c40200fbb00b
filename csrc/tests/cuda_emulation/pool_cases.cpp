#include "check.hpp"
#include "max_pool.hpp"
#include "max_unpool.hpp"

namespace check {
namespace {

Axis random_axis(Random& random) {
    Axis axis{random(1, 4), random(1, 4), 0, random(1, 3)};
    axis.padding = random(0, axis.kernel / 2);
    return axis;
}

// Pooled size as in PyTorch, with windows that start inside the map or its padding.
int64_t pooled(const Axis& axis, int64_t size, bool ceil_mode) {
    int64_t room = size + 2 * axis.padding - axis.dilation * (axis.kernel - 1) - 1;
    if (room < 0 && !ceil_mode) return 0;
    int64_t count = (ceil_mode ? desali::ceil_div(room, axis.stride) : room / axis.stride) + 1;
    if (ceil_mode && (count - 1) * axis.stride >= size + axis.padding) --count;
    for (int64_t p = 0; p < count; ++p) {  // every window must hold an element
        bool some = false;
        for (int64_t k = 0; k < axis.kernel; ++k) {
            int64_t at = axis.position(p, k);
            some = some || (at >= 0 && at < size);
        }
        if (!some) return 0;
    }
    return count;
}

int bytes_for(const Axis& y, const Axis& x) {
    int64_t offsets = y.kernel * x.kernel;
    return offsets <= 1 << 7 ? 1 : offsets <= 1 << 15 ? 2 : 4;
}

struct PoolGeometry {
    int64_t n, c, h, w, p, q;
    Axis y, x;
};

bool random_pool(Random& random, PoolGeometry& g) {
    g.n = random(0, 2);
    g.c = random.pick<int64_t>({1, 3, 4, 8, 16, 33, 40});
    g.h = random(1, 11);
    g.w = random(1, 11);
    g.y = random_axis(random);
    g.x = random_axis(random);
    int large = static_cast<int>(random(0, 19));
    if (large == 0) g.y = {12, 3, 5, 1}, g.x = {12, 2, 6, 1};
    if (large == 1) g.y = {182, 90, 91, 1}, g.x = {181, 95, 90, 1};
    bool ceil_mode = random.chance(50);
    g.p = pooled(g.y, g.h, ceil_mode);
    g.q = pooled(g.x, g.w, ceil_mode);
    return g.p > 0 && g.q > 0;
}

template <class T, class S>
void pool(DType type, Random& random, const PoolGeometry& g, bool channels_last, bool after_relu, int64_t shift) {
    next_case();
    Buffer<T> x(g.n * g.c * g.h * g.w, shift), y(g.n * g.c * g.p * g.q, shift);
    Buffer<S> switches(g.n * g.c * g.p * g.q, shift);
    fill(x, random, 4, 20, random.chance(50) ? 8 : 0);  // few values: many ties
    for (int64_t i = 0; i < x.size(); ++i)
        if (random.chance(10)) x[i] = number<T>(-std::numeric_limits<double>::infinity());
    desali::max_pool_cuda({type, x.data(), y.data(), switches.data(), int(sizeof(S)), channels_last, after_relu, g.n,
                           g.c, g.h, g.w, g.p, g.q, g.y, g.x},
                          nullptr);
    finish_device();
    Comparison compare(text("max_pool %s n %d c %d h %d w %d, y %s, x %s, channels_last %d", name_of(type), int(g.n),
                            int(g.c), int(g.h), int(g.w), name_of(g.y).c_str(), name_of(g.x).c_str(), channels_last));
    for (int64_t i = 0; i < y.size(); ++i) {
        int64_t c = i % g.c, q = i / g.c % g.q, p = i / (g.c * g.q) % g.p, n = i / (g.c * g.q * g.p);
        double best = 0;
        int64_t code = -1;
        for (int64_t k = 0; k < g.y.kernel; ++k)
            for (int64_t l = 0; l < g.x.kernel; ++l) {
                int64_t map_y = g.y.position(p, k), map_x = g.x.position(q, l);
                if (map_y < 0 || map_y >= g.h || map_x < 0 || map_x >= g.w) continue;
                int64_t at = channels_last ? ((n * g.h + map_y) * g.w + map_x) * g.c + c
                                           : ((n * g.c + c) * g.h + map_y) * g.w + map_x;
                double v = value_of(x[at]);
                if (code < 0 || v > best || std::isnan(v)) best = v, code = k * g.x.kernel + l;
            }
        if (after_relu && !(best <= 0)) code += int64_t(1) << (8 * sizeof(S) - 1);
        int64_t at = channels_last ? i : ((n * g.c + c) * g.p + p) * g.q + q;
        compare.equal("y", at, value_of(y[at]), best);
        compare.equal("switches", i, switches[i], static_cast<double>(code));
    }
}

struct UnpoolOptions {
    bool use_switches, overwrite, positive_bit, masked, backward, region, window;
};

template <class T, class S>
void unpool(DType type, Random& random, const PoolGeometry& g, int64_t k, const UnpoolOptions& o, int64_t shift) {
    next_case();
    constexpr int64_t top = int64_t(1) << (8 * sizeof(S) - 1);
    int64_t h = o.region ? random(1, 5) : g.p, w = o.region ? random(1, 5) : g.q;
    int64_t out_h = o.window ? random(1, 9) : g.h, out_w = o.window ? random(1, 9) : g.w, seeds = g.n * k;
    Buffer<T> signal(seeds * h * w * g.c, shift), out(seeds * out_h * out_w * g.c, shift);
    Buffer<S> switches(g.n * g.p * g.q * g.c, shift);
    Buffer<uint8_t> mask(g.n * g.h * g.w * ((g.c + 7) / 8));
    Buffer<int64_t> origin(seeds * 2), out_origin(seeds * 2);
    fill(signal, random, 5, 20, random.chance(30) ? 3 : 0);
    fill_bytes(mask, random);
    fill_origins(origin, random, g.p, g.q);
    fill_origins(out_origin, random, g.h, g.w);
    for (int64_t i = 0; i < switches.size(); ++i)
        switches[i] = static_cast<S>(random(0, g.y.kernel * g.x.kernel - 1) + (random.chance(60) ? top : 0));
    desali::max_unpool_cuda({type,
                             signal.data(),
                             switches.data(),
                             out.data(),
                             int(sizeof(S)),
                             o.use_switches,
                             o.overwrite,
                             o.positive_bit,
                             {o.masked ? mask.data() : nullptr, o.backward},
                             {o.region ? origin.data() : nullptr},
                             {o.window ? out_origin.data() : nullptr},
                             g.n,
                             k,
                             g.c,
                             h,
                             w,
                             g.p,
                             g.q,
                             out_h,
                             out_w,
                             g.h,
                             g.w,
                             g.y,
                             g.x},
                            nullptr);
    finish_device();
    // Scatter: every window of the pooled map in row-major order sends what its region holds, zero outside of it.
    std::vector<double> map(static_cast<size_t>(seeds * g.h * g.w * g.c), 0.0);
    for (int64_t nk = 0; nk < seeds; ++nk)
        for (int64_t p = 0; p < g.p; ++p)
            for (int64_t q = 0; q < g.q; ++q)
                for (int64_t c = 0; c < g.c; ++c) {
                    int64_t code = switches[((nk / k * g.p + p) * g.q + q) * g.c + c];
                    if (o.positive_bit && code < top) continue;
                    int64_t offset = code % top, ky = offset / g.x.kernel, kx = offset % g.x.kernel;
                    if (!o.use_switches) ky = (g.y.kernel + 1) / 2 - 1, kx = (g.x.kernel + 1) / 2 - 1;
                    int64_t y = g.y.position(p, ky), x = g.x.position(q, kx);
                    if (y < 0 || y >= g.h || x < 0 || x >= g.w) continue;
                    int64_t sy = p - (o.region ? origin[2 * nk] : 0), sx = q - (o.region ? origin[2 * nk + 1] : 0);
                    bool given = sy >= 0 && sy < h && sx >= 0 && sx < w;
                    double v = given ? value_of(signal[((nk * h + sy) * w + sx) * g.c + c]) : 0.0;
                    double& cell = map[static_cast<size_t>(((nk * g.h + y) * g.w + x) * g.c + c)];
                    cell = o.overwrite ? v : cell + v;
                }
    Comparison compare(
        text("max_unpool %s n %d k %d c %d h %d w %d, y %s, x %s, switches %d overwrite %d positive %d "
             "masked %d backward %d region %d window %d",
             name_of(type), int(g.n), int(k), int(g.c), int(g.h), int(g.w), name_of(g.y).c_str(), name_of(g.x).c_str(),
             o.use_switches, o.overwrite, o.positive_bit, o.masked, o.backward, o.region, o.window));
    for (int64_t i = 0; i < out.size(); ++i) {
        int64_t c = i % g.c, nk = i / (g.c * out_w * out_h);
        int64_t y = i / (g.c * out_w) % out_h + (o.window ? out_origin[2 * nk] : 0);
        int64_t x = i / g.c % out_w + (o.window ? out_origin[2 * nk + 1] : 0);
        double expected = 0;
        if (y >= 0 && y < g.h && x >= 0 && x < g.w) {
            expected = map[static_cast<size_t>(((nk * g.h + y) * g.w + x) * g.c + c)];
            if (o.backward && expected <= 0) expected = 0;
            if (o.masked && !bit(mask, (nk / k * g.h + y) * g.w + x, g.c, c)) expected = 0;
        }
        compare.equal("out", i, value_of(out[i]), expected);
    }
}

}  // namespace

void pool_cases(int rounds) {
    Random random(2);
    for (int round = 0; round < rounds; ++round)
        for (DType type : every_type)
            desali::with_type(type, [&](auto zero) {
                PoolGeometry g;
                if (!random_pool(random, g)) return;
                bool last = random.chance(60), after = random.chance(50);
                int64_t shift = random.chance(20) ? 1 : 0;
                desali::with_switch(bytes_for(g.y, g.x), [&](auto code) {
                    pool<decltype(zero), decltype(code)>(type, random, g, last, after, shift);
                });
            });
}

void unpool_cases(int rounds) {
    Random random(3);
    for (int round = 0; round < rounds; ++round)
        for (DType type : every_type)
            desali::with_type(type, [&](auto zero) {
                PoolGeometry g;
                if (!random_pool(random, g)) return;
                UnpoolOptions o{random.chance(75), random.chance(40), false, random.chance(50), random.chance(50),
                                random.chance(50), random.chance(50)};
                o.positive_bit = o.use_switches && random.chance(40);
                if (o.positive_bit) o.masked = false;
                int64_t k = random(0, 3), shift = random.chance(20) ? 1 : 0;
                desali::with_switch(bytes_for(g.y, g.x), [&](auto code) {
                    unpool<decltype(zero), decltype(code)>(type, random, g, k, o, shift);
                });
            });
}

}  // namespace check
