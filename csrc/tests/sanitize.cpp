// Drives every CPU launcher of the core over random geometries, at every instruction set that runs here, and compares
// with plain loops. Built with AddressSanitizer and UndefinedBehaviorSanitizer (-DDESALI_SANITIZE=ON); every buffer has
// its exact size, so that a stray access is seen. Exit code 1 on a mismatch. Arguments: rounds (200), seed (1).
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>

#include "fingerprint.hpp"
#include "inverse_relu.hpp"
#include "naive.hpp"
#include "relu_with_mask.hpp"

using namespace desali;

namespace {

std::mt19937_64 generator;
int64_t mismatches = 0;
std::string place;
const int64_t cache = last_cache_bytes();

int64_t draw(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(generator);
}

bool coin() {
    return draw(0, 1) == 1;
}

template <class T>
std::vector<T> normal(int64_t count, double density = 1) {
    std::vector<T> values(static_cast<size_t>(count));
    std::normal_distribution<double> gauss;
    std::uniform_real_distribution<double> uniform;
    for (T& v : values) v = uniform(generator) < density ? T(std::round(gauss(generator) * 8) / 8) : T(0);
    return values;
}

std::vector<uint8_t> bytes(int64_t count) {
    std::vector<uint8_t> values(static_cast<size_t>(count));
    for (uint8_t& v : values) v = static_cast<uint8_t>(draw(0, 255));
    return values;
}

std::vector<int64_t> origins(int64_t count) {
    std::vector<int64_t> values(static_cast<size_t>(2 * count));
    for (int64_t& v : values) v = draw(-4, 8);
    return values;
}

void expect(double got, double wanted, const char* what, double tolerance = 0) {
    bool same = got == wanted || (std::isnan(got) && std::isnan(wanted)) || std::fabs(got - wanted) <= tolerance;
    if (!same && ++mismatches <= 20) std::printf("%s, %s: got %g, wanted %g\n", place.c_str(), what, got, wanted);
}

template <class T>
constexpr DType dtype_of = sizeof(T) == 4 ? DType::f32 : DType::f64;

template <class T>
void try_relu() {
    int64_t n = draw(1, 2), c = draw(1, 40), s = draw(1, 70);
    bool last = coin();
    auto x = normal<T>(n * c * s);
    if (coin()) x[0] = std::numeric_limits<T>::quiet_NaN();
    std::vector<T> y(x.size());
    std::vector<uint8_t> mask(static_cast<size_t>(n * s * ((c + 7) / 8)));
    double upper = coin() ? 0.75 : std::nan("");
    relu_with_mask(ReluArguments{dtype_of<T>, x.data(), y.data(), mask.data(), last, upper, n, c, s});
    for (int64_t i = 0; i < n * c * s; ++i) {
        int64_t pixel = last ? i / c : i / (c * s) * s + i % s, channel = last ? i % c : i / s % c;
        double v = x[i], clipped = v <= 0 ? 0 : v >= upper ? upper : v;
        expect(y[i], clipped, "relu_with_mask value");
        expect(naive::bit(mask.data(), pixel, c, channel), !(v <= 0) && !(v >= upper), "relu_with_mask bit");
    }
    for (int64_t i = 0; i < n * s && c % 8; ++i)
        expect(mask[i * ((c + 7) / 8) + c / 8] >> (c % 8), 0, "relu_with_mask padding");
}

template <class T>
void try_inverse_relu() {
    int64_t n = draw(1, 2), k = draw(1, 3), c = draw(1, 40), h = draw(1, 7), w = draw(1, 7);
    bool region = coin();
    int64_t map_h = region ? draw(1, 9) : h, map_w = region ? draw(1, 9) : w;
    auto signal = normal<T>(n * k * h * w * c);
    auto mask = bytes(n * map_h * map_w * ((c + 7) / 8));
    auto where = origins(n * k);
    std::vector<T> out(signal.size());
    InverseReluArguments a{dtype_of<T>,
                           signal.data(),
                           k * h * w * c,
                           h * w * c,
                           1,
                           w * c,
                           c,
                           out.data(),
                           {coin() ? mask.data() : nullptr, coin()},
                           {region ? where.data() : nullptr},
                           n,
                           k,
                           c,
                           h,
                           w,
                           map_h,
                           map_w};
    inverse_relu(a);
    for (int64_t i = 0; i < n * k * h * w * c; ++i) {
        int64_t nk = i / (h * w * c), y = i / (w * c) % h + a.origin.y(nk), x = i / c % w + a.origin.x(nk);
        expect(out[i], naive::close(signal[i], a.relu, nk / k, y, x, map_h, map_w, c, i % c), "inverse_relu");
    }
}

int64_t code_at(const MaxUnpoolArguments& a, int64_t i) {
    if (a.switch_bytes == 1) return static_cast<const uint8_t*>(a.switches)[i];
    if (a.switch_bytes == 2) return static_cast<const uint16_t*>(a.switches)[i];
    return static_cast<const uint32_t*>(a.switches)[i];
}

Axis draw_axis(bool pooling) {
    Axis axis{draw(1, 4), draw(1, 4), 0, draw(1, 2)};
    if (pooling && draw(0, 5) == 0) axis.kernel = 13;  // more than 128 offsets in both axes together
    axis.padding = pooling ? draw(0, axis.kernel / 2) : draw(0, 4);
    return axis;
}

// Windows of a pooling, or 0 where a window would miss the map.
int64_t windows(const Axis& axis, int64_t size) {
    int64_t room = size + 2 * axis.padding - (axis.kernel - 1) * axis.dilation - 1;
    if (room < 0 || (axis.dilation > 1 && axis.padding >= size)) return 0;
    return room / axis.stride + 1;
}

template <class T>
void try_pooling() {
    int64_t n = draw(1, 2), k = draw(1, 3), c = draw(1, 40), map_h = draw(1, 18), map_w = draw(1, 40);
    if (draw(0, 2) == 0) c = draw(1, 3) * 64 - draw(0, 1) * draw(0, 63), map_h = draw(1, 9), map_w = draw(1, 9);
    Axis y_axis = draw_axis(true), x_axis = draw_axis(true);
    int64_t p = windows(y_axis, map_h), q = windows(x_axis, map_w);
    if (p == 0 || q == 0) return;
    auto x = normal<T>(n * c * map_h * map_w);
    if (coin()) x[x.size() / 2] = std::numeric_limits<T>::quiet_NaN();
    bool last = coin(), after_relu = coin();
    int64_t offsets = y_axis.kernel * x_axis.kernel, pooled = n * c * p * q;
    int width = offsets <= 128 ? static_cast<int>(1 << draw(0, 2)) : static_cast<int>(1 << draw(1, 2));
    std::vector<T> y(static_cast<size_t>(pooled));
    std::vector<uint8_t> switches(static_cast<size_t>(pooled * width));
    MaxPoolArguments a{dtype_of<T>, x.data(), y.data(), switches.data(), width, last, after_relu, n, c, map_h,
                       map_w,       p,        q,        y_axis,          x_axis};
    max_pool(a);
    int64_t h = draw(1, p + 1), w = draw(1, q + 1), out_h = draw(1, map_h + 2), out_w = draw(1, map_w + 2);
    auto signal = normal<T>(n * k * h * w * c);
    auto mask = bytes(n * map_h * map_w * ((c + 7) / 8));
    auto where = origins(n * k), window = origins(n * k);
    bool shared = coin(), nowhere = coin();  // seeds at one place; signals that are the whole map
    for (int64_t i = 2; shared && i < 2 * n * k; ++i) where[i] = where[i - 2], window[i] = window[i - 2];
    // One time in two the result is aligned as a tensor is, and larger than the cache is said to be.
    bool beyond = coin();
    set_last_cache_bytes(beyond ? 0 : cache);
    std::vector<T> room(static_cast<size_t>(n * k * out_h * out_w * c) + (beyond ? 64 / sizeof(T) : 0));
    T* out = room.data();
    while (beyond && reinterpret_cast<uintptr_t>(out) % 64) ++out;
    bool use_switches = coin();
    MaxUnpoolArguments b{dtype_of<T>,
                         signal.data(),
                         switches.data(),
                         out,
                         width,
                         use_switches,
                         coin(),
                         use_switches && coin(),
                         {coin() ? mask.data() : nullptr, coin()},
                         {nowhere ? nullptr : where.data()},
                         {nowhere ? nullptr : window.data()},
                         n,
                         k,
                         c,
                         h,
                         w,
                         p,
                         q,
                         out_h,
                         out_w,
                         map_h,
                         map_w,
                         y_axis,
                         x_axis};
    for (int64_t i = 0; i < pooled; ++i) {
        int64_t image = i / (p * q * c), row = i / (q * c) % p, column = i / c % q, channel = i % c, offset;
        T wanted = naive::pool(a, x.data(), image, channel, row, column, &offset);
        T got = last ? y[i] : y[((image * c + channel) * p + row) * q + column];
        expect(got, wanted, "max_pool value");
        int64_t top = after_relu && !(wanted <= 0) ? int64_t(1) << (8 * width - 1) : 0;
        expect(static_cast<double>(code_at(b, i)), static_cast<double>(offset + top), "max_pool switch");
    }
    max_unpool(b);
    set_last_cache_bytes(cache);
    for (int64_t i = 0; i < n * k * out_h * out_w * c; ++i) {
        int64_t nk = i / (out_h * out_w * c), row = i / (out_w * c) % out_h + b.out_origin.y(nk);
        int64_t column = i / c % out_w + b.out_origin.x(nk);
        T v = naive::unpool(b, signal.data(), nk, row, column, i % c, code_at);
        expect(out[i], naive::close(v, b.relu, nk / k, row, column, map_h, map_w, c, i % c), "max_unpool", 1e-5);
    }
}

template <class T>
void try_conv() {
    ConvArguments a{};
    a.dtype = dtype_of<T>;
    a.groups = draw(1, 3);
    a.o = draw(1, 12) * a.groups, a.i = draw(1, 20) * a.groups, a.n = draw(1, 2), a.k = draw(1, 3);
    a.h = draw(1, 5), a.w = draw(1, 5), a.out_h = draw(1, 12), a.out_w = draw(1, 12), a.map_h = draw(1, 14);
    a.map_w = draw(1, 14), a.y_axis = draw_axis(false), a.x_axis = draw_axis(false);
    if (draw(0, 2) == 0) {  // the step to the image: folded columns, blocks of cells that have all taps
        a.groups = 1, a.o = draw(1, 12), a.i = 3, a.h = draw(1, 6), a.w = draw(1, 16);
        a.y_axis = {draw(0, 2) * 4 + 3, 4, draw(0, 4), 1}, a.x_axis = {draw(0, 2) * 4 + 3, 4, draw(0, 4), 1};
        a.out_h = draw(1, 30), a.out_w = draw(1, 70), a.map_h = draw(1, 40), a.map_w = draw(1, 80);
    }
    auto signal = normal<T>(a.n * a.k * a.h * a.w * a.o, draw(0, 4) / 4.0);
    auto weight = normal<T>(a.o * (a.i / a.groups) * a.y_axis.kernel * a.x_axis.kernel);
    auto mask = bytes(a.n * a.map_h * a.map_w * ((a.i + 7) / 8));
    auto where = origins(a.n * a.k), window = origins(a.n * a.k);
    std::vector<int32_t> counts(static_cast<size_t>(a.n * a.k * a.h * a.w));
    a.signal = signal.data(), a.counts = counts.data();
    a.relu = {coin() ? mask.data() : nullptr, coin()};
    a.origin = {coin() ? where.data() : nullptr}, a.out_origin = {window.data()};
    int64_t found = count_nonzeros(CountArguments{a.dtype, signal.data(), counts.data(), a.n * a.k * a.h * a.w, a.o});
    int64_t wanted_count = 0;
    for (T v : signal) wanted_count += v != 0;
    expect(static_cast<double>(found), static_cast<double>(wanted_count), "count_nonzeros");
    bool can_be_dense = a.groups == 1 && a.y_axis.dilation == 1 && a.x_axis.dilation == 1;
    for (int dense = 0; dense <= can_be_dense; ++dense) {
        std::vector<T> packed(static_cast<size_t>(packed_size(a, dense)));
        std::vector<T> out(static_cast<size_t>(a.n * a.k * a.out_h * a.out_w * a.i));
        pack_weight(a, dense, weight.data(), packed.data());
        a.packed = packed.data(), a.out = out.data();
        dense ? conv_transpose_dense(a) : conv_transpose_sparse(a);
        for (int64_t i = 0; i < static_cast<int64_t>(out.size()); ++i) {
            int64_t nk = i / (a.out_h * a.out_w * a.i), y = i / (a.out_w * a.i) % a.out_h + a.out_origin.y(nk);
            int64_t x = i / a.i % a.out_w + a.out_origin.x(nk), c = i % a.i;
            double v = naive::conv(a, signal.data(), weight.data(), nk, y, x, c);
            expect(out[i], naive::close(v, a.relu, nk / a.k, y, x, a.map_h, a.map_w, a.i, c),
                   dense ? "conv_transpose dense" : "conv_transpose sparse", 1e-3);
        }
    }
}

void try_fingerprint() {
    const int64_t count = draw(0, 4), whole = draw(0, 1) ? draw(0, 70000) : int64_t(1) << 62, lines = draw(1, 200);
    std::vector<std::vector<uint8_t>> tensors;
    std::vector<const void*> data;
    std::vector<int64_t> sizes;
    for (int64_t i = 0; i < count; ++i) {
        tensors.push_back(bytes(coin() ? draw(0, 300) : draw(0, coin() ? 600000 : 30000)));
        data.push_back(tensors.back().data());
        sizes.push_back(static_cast<int64_t>(tensors.back().size()));
    }
    std::vector<uint64_t> results(static_cast<size_t>(count));
    fingerprint({data.data(), sizes.data(), count, whole, lines, results.data()});
    for (size_t i = 0; i < results.size(); ++i)
        expect(results[i] == naive::fingerprint(tensors[i], whole, lines), 1, "fingerprint");
}

template <class T>
void try_all() {
    try_relu<T>();
    try_inverse_relu<T>();
    try_pooling<T>();
    try_conv<T>();
}

}  // namespace

int main(int argc, char** argv) {
    int64_t rounds = argc > 1 ? std::atoll(argv[1]) : 200, seed = argc > 2 ? std::atoll(argv[2]) : 1;
    for (int l = 0; l <= static_cast<int>(best_level()); ++l) {
        const char* name = level_name(static_cast<Level>(l));
        set_level(name);
        generator.seed(static_cast<uint64_t>(seed));
        for (int64_t round = 0; round < rounds; ++round) {
            place = std::string(name) + ", round " + std::to_string(round);
            try_all<float>();
            try_all<double>();
            try_fingerprint();
        }
    }
    std::printf("%lld rounds for each instruction set up to %s: %lld mismatches\n", static_cast<long long>(rounds),
                level_name(best_level()), static_cast<long long>(mismatches));
    return mismatches ? 1 : 0;
}
