// What Python calls. Every argument has a name, that of the member of the core's struct that it fills (keywords.hpp):
// addresses, sizes, and as `place` the device (-1: the CPU) and its stream. Shapes, dtypes and devices are checked in
// Python.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <initializer_list>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "conv_transpose.hpp"
#include "cpu.hpp"
#include "device.hpp"
#include "fingerprint.hpp"
#include "inverse_relu.hpp"
#include "keywords.hpp"
#include "max_pool.hpp"
#include "max_unpool.hpp"
#include "memory.hpp"
#include "relu_with_mask.hpp"

namespace py = pybind11;

namespace desali {
namespace {

using Address = uintptr_t;

template <class T>
T* at(Address address) {
    return reinterpret_cast<T*>(address);
}

// A struct of the core, where it runs, and what chooses between kernels.
template <class Arguments>
struct Call : Arguments {
    int device;    // -1: the CPU
    void* stream;  // of the device
    bool dense;
};

template <class Arguments>
void launch(const Call<Arguments>& a, void (*cpu)(const Arguments&), void (*cuda)(const Arguments&, void*)) {
    py::gil_scoped_release free;
    if (a.device < 0) {
        if (!cpu) throw std::runtime_error("this op's kernel is for CUDA");
        return cpu(a);
    }
    if (!cuda) throw std::runtime_error("the core has no CUDA kernel for this op");
    DeviceGuard guard(a.device);
    cuda(a, a.stream);
}

// A map of one window only never uses its stride; 1 keeps tables that depend on the stride small.
template <class Arguments>
void shorten(Arguments& a) {
    if (a.p <= 1) a.y_axis.stride = 1;
    if (a.q <= 1) a.x_axis.stride = 1;
    if (a.y_axis.kernel <= 1) a.y_axis.dilation = 1;
    if (a.x_axis.kernel <= 1) a.x_axis.dilation = 1;
}

// The kernels add and multiply in 64 bits: what they are given lies so near that no sum or product leaves these.
constexpr int64_t STEP = int64_t(1) << 31, SIZE = int64_t(1) << 61;

void refuse_unless(bool within, const char* message) {
    if (!within) throw py::value_error(message);
}

void check_axis(const Axis& a) {
    refuse_unless(a.kernel >= 1 && a.kernel < STEP && a.stride >= 1 && a.stride < STEP && a.padding >= 0 &&
                      a.padding < STEP && a.dilation >= 1 && a.dilation < STEP,
                  "kernel, stride, padding and dilation must lie below 2^31");
}

template <class Arguments>
void check_axes(const Arguments& a) {
    check_axis(a.y_axis);
    check_axis(a.x_axis);
}

// Origins in the computer's own memory; those on a GPU are not looked at.
void check_origins(int device, const Origins& origins, int64_t count, int64_t limit, const char* message) {
    if (device >= 0 || !origins.data) return;
    for (int64_t i = 0; i < 2 * count; ++i) {
        refuse_unless(origins.data[i] > -limit && origins.data[i] < limit, message);
    }
}

void check_sizes(std::initializer_list<int64_t> sizes) {
    for (int64_t size : sizes) refuse_unless(size >= 0 && size < SIZE, "sizes must lie below 2^61");
}

template <class Arguments>
void check_windows(const Arguments& a) {
    check_axes(a);
    check_sizes({a.n, a.k, a.out_h, a.out_w, a.map_h, a.map_w});
    refuse_unless(a.h >= 0 && a.h < STEP && a.w >= 0 && a.w < STEP, "a signal's extents must lie below 2^31");
    check_origins(a.device, a.origin, a.n * a.k, STEP, "origin must lie between -2^31 and 2^31");
    check_origins(a.device, a.out_origin, a.n * a.k, SIZE, "out_origin must lie between -2^61 and 2^61");
}

// Fields of `Struct` by the names that Python gives: FIELD(x) fills the member x, ITEMS("size", h, w) several from a
// tuple.
#define FIELD(member) {#member, [](Struct& a, PyObject* value) { take(value, a.member); }}
#define NAMED(name, member) {name, [](Struct& a, PyObject* value) { take(value, a.member); }}
#define PAIR(name, first, second) {name, [](Struct& a, PyObject* value) { take_items(value, a.first, a.second); }}
#define PLACE PAIR("place", device, stream), FIELD(dtype)
#define AXES FIELD(y_axis), FIELD(x_axis)
#define RELU NAMED("mask", relu.mask), NAMED("backward", relu.backward)

PyObject* bind_relu(PyObject*, PyObject* const* values, Py_ssize_t positional, PyObject* names) {
    using Struct = Call<ReluArguments>;
    static Keywords<Struct> keywords("relu_with_mask", {PLACE, FIELD(x), FIELD(y), FIELD(mask), FIELD(channels_last),
                                                        FIELD(upper), FIELD(n), FIELD(c), FIELD(s)});
    return guarded([&] {
        launch<ReluArguments>(keywords.read(values, positional, names), relu_with_mask, cuda::relu_with_mask);
        Py_RETURN_NONE;
    });
}

PyObject* bind_inverse_relu(PyObject*, PyObject* const* values, Py_ssize_t positional, PyObject* names) {
    using Struct = Call<InverseReluArguments>;
    static Keywords<Struct> keywords(
        "inverse_relu", {PLACE, FIELD(signal), FIELD(stride_n), FIELD(stride_k), FIELD(stride_c), FIELD(stride_y),
                         FIELD(stride_x), FIELD(out), RELU, NAMED("origin", origin.data), FIELD(n), FIELD(k), FIELD(c),
                         PAIR("size", h, w), PAIR("map_size", map_h, map_w)});
    return guarded([&] {
        Struct a = keywords.read(values, positional, names);
        check_sizes({a.n, a.k, a.c, a.h, a.w, a.map_h, a.map_w});
        check_origins(a.device, a.origin, a.n * a.k, SIZE, "origin must lie between -2^61 and 2^61");
        launch<InverseReluArguments>(a, inverse_relu, cuda::inverse_relu);
        Py_RETURN_NONE;
    });
}

PyObject* bind_max_pool(PyObject*, PyObject* const* values, Py_ssize_t positional, PyObject* names) {
    using Struct = Call<MaxPoolArguments>;
    static Keywords<Struct> keywords(
        "max_pool", {PLACE, FIELD(x), FIELD(y), FIELD(switches), FIELD(switch_bytes), FIELD(channels_last),
                     FIELD(after_relu), FIELD(n), FIELD(c), PAIR("size", h, w), PAIR("pooled", p, q), AXES});
    return guarded([&] {
        Struct a = keywords.read(values, positional, names);
        check_axes(a);
        check_sizes({a.n, a.c, a.h, a.w, a.p, a.q});
        shorten(a);
        launch<MaxPoolArguments>(a, max_pool, cuda::max_pool);
        Py_RETURN_NONE;
    });
}

PyObject* bind_max_unpool(PyObject*, PyObject* const* values, Py_ssize_t positional, PyObject* names) {
    using Struct = Call<MaxUnpoolArguments>;
    static Keywords<Struct> keywords(
        "max_unpool", {PLACE, FIELD(signal), FIELD(switches), FIELD(out), FIELD(switch_bytes), FIELD(use_switches),
                       FIELD(overwrite), FIELD(positive_bit), RELU, NAMED("origin", origin.data),
                       NAMED("out_origin", out_origin.data), FIELD(n), FIELD(k), FIELD(c), PAIR("size", h, w),
                       PAIR("pooled", p, q), PAIR("out_size", out_h, out_w), PAIR("map_size", map_h, map_w), AXES});
    return guarded([&] {
        Struct a = keywords.read(values, positional, names);
        check_windows(a);
        shorten(a);
        launch<MaxUnpoolArguments>(a, max_unpool, cuda::max_unpool);
        Py_RETURN_NONE;
    });
}

PyObject* bind_count(PyObject*, PyObject* const* values, Py_ssize_t positional, PyObject* names) {
    using Struct = CountArguments;
    static Keywords<Struct> keywords("count_nonzeros",
                                     {FIELD(dtype), FIELD(signal), FIELD(counts), FIELD(pixels), FIELD(channels)});
    return guarded([&] {
        Struct a = keywords.read(values, positional, names);
        int64_t found;
        {
            py::gil_scoped_release free;
            found = count_nonzeros(a);
        }
        return PyLong_FromLongLong(found);
    });
}

// Without a place to write to, how many elements it needs; with one, whether all weights are finite.
PyObject* bind_pack(PyObject*, PyObject* const* values, Py_ssize_t positional, PyObject* names) {
    struct Struct : Call<ConvArguments> {
        const void* weight;
        void* target;
    };
    static Keywords<Struct> keywords("pack_weight", {FIELD(dtype), FIELD(dense), FIELD(weight), NAMED("packed", target),
                                                     FIELD(o), FIELD(i), FIELD(groups), AXES});
    return guarded([&] {
        Struct a = keywords.read(values, positional, names);
        if (a.target) {
            bool finite;
            {
                py::gil_scoped_release free;
                finite = pack_weight(a, a.dense, a.weight, a.target);
            }
            return PyLong_FromLongLong(finite);
        }
        return PyLong_FromLongLong(packed_size(a, a.dense));
    });
}

// Whether the sparse way takes the weight as the dense way does.
PyObject* bind_lists_cells(PyObject*, PyObject* const* values, Py_ssize_t positional, PyObject* names) {
    using Struct = Call<ConvArguments>;
    static Keywords<Struct> keywords("lists_cells", {FIELD(dtype), FIELD(o), FIELD(i), FIELD(groups), AXES});
    return guarded([&] { return PyBool_FromLong(lists_cells(keywords.read(values, positional, names))); });
}

#define CONVOLUTION                                                                                       \
    PLACE, FIELD(signal), FIELD(packed), FIELD(out), RELU, NAMED("origin", origin.data),                  \
        NAMED("out_origin", out_origin.data), FIELD(n), FIELD(k), FIELD(o), FIELD(i), PAIR("size", h, w), \
        PAIR("out_size", out_h, out_w), PAIR("map_size", map_h, map_w), FIELD(groups), AXES

PyObject* bind_conv_transpose(PyObject*, PyObject* const* values, Py_ssize_t positional, PyObject* names) {
    using Struct = Call<ConvArguments>;
    static Keywords<Struct> keywords("conv_transpose", {CONVOLUTION, FIELD(dense), FIELD(counts)});
    return guarded([&] {
        Struct a = keywords.read(values, positional, names);
        check_windows(a);
        launch<ConvArguments>(a, a.dense ? conv_transpose_dense : conv_transpose_sparse, nullptr);
        Py_RETURN_NONE;
    });
}

PyObject* bind_conv_transpose_cuda(PyObject*, PyObject* const* values, Py_ssize_t positional, PyObject* names) {
    using Struct = Call<ConvArguments>;
    static Keywords<Struct> keywords("conv_transpose_cuda", {CONVOLUTION, FIELD(way), FIELD(tf32), FIELD(scratch)});
    return guarded([&] {
        Struct a = keywords.read(values, positional, names);
        check_windows(a);
        launch<ConvArguments>(a, nullptr, cuda::conv_transpose);
        Py_RETURN_NONE;
    });
}

// `fingerprints` of one tensor, quickly.
PyObject* bind_fingerprint(PyObject*, PyObject* const* values, Py_ssize_t positional, PyObject* names) {
    struct Struct {
        const void* data;
        int64_t bytes, whole, lines;
    };
    static Keywords<Struct> keywords("fingerprint", {NAMED("address", data), FIELD(bytes), FIELD(whole), FIELD(lines)});
    return guarded([&] {
        Struct a = keywords.read(values, positional, names);
        if (a.lines < 1) throw std::invalid_argument("there must be at least one line");
        uint64_t result;
        fingerprint({&a.data, &a.bytes, 1, a.whole, a.lines, &result});
        return PyLong_FromUnsignedLongLong(result);
    });
}

#undef FIELD
#undef NAMED
#undef PAIR
#undef PLACE
#undef AXES
#undef RELU
#undef CONVOLUTION

using Fast = PyObject* (*)(PyObject*, PyObject* const*, Py_ssize_t, PyObject*);

PyMethodDef method(const char* name, Fast function) {
    return {name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function)), METH_FASTCALL | METH_KEYWORDS,
            nullptr};
}

PyMethodDef methods[] = {method("relu_with_mask", bind_relu),
                         method("inverse_relu", bind_inverse_relu),
                         method("max_pool", bind_max_pool),
                         method("max_unpool", bind_max_unpool),
                         method("count_nonzeros", bind_count),
                         method("pack_weight", bind_pack),
                         method("lists_cells", bind_lists_cells),
                         method("conv_transpose", bind_conv_transpose),
                         method("conv_transpose_cuda", bind_conv_transpose_cuda),
                         method("fingerprint", bind_fingerprint),
                         {nullptr, nullptr, 0, nullptr}};

std::vector<uint64_t> bind_fingerprints(const std::vector<Address>& addresses, const std::vector<int64_t>& bytes,
                                        int64_t whole, int64_t lines) {
    if (addresses.size() != bytes.size() || lines < 1)
        throw std::invalid_argument("there must be an address for each size, and at least one line");
    py::gil_scoped_release free;
    std::vector<const void*> data(addresses.size());
    for (size_t i = 0; i < data.size(); ++i) data[i] = at<void>(addresses[i]);
    std::vector<uint64_t> results(data.size());
    fingerprint({data.data(), bytes.data(), static_cast<int64_t>(data.size()), whole, lines, results.data()});
    return results;
}

py::dict describe() {
    using namespace py::literals;
    std::map<std::string, std::vector<std::string>> ops, dtypes;
    ops["cpu"] = {"relu_with_mask", "inverse_relu", "max_pool_with_switches", "max_unpool", "conv_transpose"};
    dtypes["cpu"] = {"float32", "float64"};
    if (device_count() > 0) {
        if (cuda::relu_with_mask) ops["cuda"].push_back("relu_with_mask");
        if (cuda::inverse_relu) ops["cuda"].push_back("inverse_relu");
        if (cuda::max_pool) ops["cuda"].push_back("max_pool_with_switches");
        if (cuda::max_unpool) ops["cuda"].push_back("max_unpool");
        if (cuda::conv_transpose) ops["cuda"].push_back("conv_transpose");
        dtypes["cuda"] = {"float32", "float64", "float16", "bfloat16"};
    }
    return py::dict("ops"_a = ops, "dtypes"_a = dtypes, "cuda_built"_a = cuda_built(),
                    "cuda_architectures"_a = cuda_architectures(), "cuda_devices"_a = device_count(),
                    "cuda_reason"_a = device_reason(), "compiler"_a = DESALI_COMPILER, "threading"_a = threading(),
                    "threads"_a = thread_count(), "last_cache_bytes"_a = last_cache_bytes(),
                    "simd"_a = level_name(level()), "simd_best"_a = level_name(best_level()),
                    "version"_a = DESALI_VERSION);
}

}  // namespace
}  // namespace desali

PYBIND11_MODULE(_core, m) {
    using namespace desali;
    using namespace py::literals;
    if (PyModule_AddFunctions(m.ptr(), methods)) throw py::error_already_set();
    m.def("fingerprints", &bind_fingerprints, py::kw_only(), "addresses"_a, "bytes"_a, "whole"_a, "lines"_a);
    m.def(
        "sparse_scratch_bytes",
        [](int dtype, int64_t pixels, int64_t channels, int64_t groups) {
            return sparse_scratch_bytes(static_cast<DType>(dtype), pixels, channels, groups);
        },
        py::kw_only(), "dtype"_a, "pixels"_a, "channels"_a, "groups"_a);
    m.def("describe", &describe);
    m.def("set_simd", [](const std::string& name) { return set_level(name.c_str()); });
    m.def("set_last_cache_bytes", &set_last_cache_bytes);
    m.def(
        "large_pages", [](Address memory, int64_t bytes) { large_pages(at<void>(memory), bytes); }, py::kw_only(),
        "memory"_a, "bytes"_a);
}
