// pybind11: what Python calls, with addresses, sizes and a stream. Shapes, dtypes and devices are checked in Python.
// `device` is -1 for the CPU, else the index of a CUDA device; `stream` is its stream as an integer.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include "conv_transpose.hpp"
#include "cpu.hpp"
#include "device.hpp"
#include "fingerprint.hpp"
#include "inverse_relu.hpp"
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

// A map of one window only never uses its stride; 1 keeps tables that depend on the stride small.
Axis axis(int64_t windows, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
    return {kernel, windows > 1 ? stride : 1, padding, kernel > 1 ? dilation : 1};
}

template <class Arguments>
void launch(int device, Address stream, const Arguments& a, void (*cpu)(const Arguments&),
            void (*cuda)(const Arguments&, void*)) {
    if (device < 0) {
        if (!cpu) throw std::runtime_error("this op's kernel is for CUDA");
        return cpu(a);
    }
    if (!cuda) throw std::runtime_error("the core has no CUDA kernel for this op");
    DeviceGuard guard(device);
    cuda(a, at<void>(stream));
}

void bind_relu(int device, Address stream, int dtype, Address x, Address y, Address mask, bool channels_last,
               double upper, int64_t n, int64_t c, int64_t s) {
    ReluArguments a{
        static_cast<DType>(dtype), at<void>(x), at<void>(y), at<uint8_t>(mask), channels_last, upper, n, c, s};
    launch<ReluArguments>(device, stream, a, relu_with_mask, cuda::relu_with_mask);
}

void bind_inverse_relu(int device, Address stream, int dtype, Address signal, int64_t stride_n, int64_t stride_k,
                       int64_t stride_c, int64_t stride_y, int64_t stride_x, Address out, Address mask, bool backward,
                       Address origin, int64_t n, int64_t k, int64_t c, int64_t h, int64_t w, int64_t map_h,
                       int64_t map_w) {
    InverseReluArguments a{static_cast<DType>(dtype),
                           at<void>(signal),
                           stride_n,
                           stride_k,
                           stride_c,
                           stride_y,
                           stride_x,
                           at<void>(out),
                           {at<uint8_t>(mask), backward},
                           {at<int64_t>(origin)},
                           n,
                           k,
                           c,
                           h,
                           w,
                           map_h,
                           map_w};
    launch<InverseReluArguments>(device, stream, a, inverse_relu, cuda::inverse_relu);
}

void bind_max_pool(int device, Address stream, int dtype, Address x, Address y, Address switches, int switch_bytes,
                   bool channels_last, bool after_relu, int64_t n, int64_t c, int64_t h, int64_t w, int64_t p,
                   int64_t q, int64_t kernel_y, int64_t stride_y, int64_t padding_y, int64_t dilation_y,
                   int64_t kernel_x, int64_t stride_x, int64_t padding_x, int64_t dilation_x) {
    MaxPoolArguments a{static_cast<DType>(dtype),
                       at<void>(x),
                       at<void>(y),
                       at<void>(switches),
                       switch_bytes,
                       channels_last,
                       after_relu,
                       n,
                       c,
                       h,
                       w,
                       p,
                       q,
                       axis(p, kernel_y, stride_y, padding_y, dilation_y),
                       axis(q, kernel_x, stride_x, padding_x, dilation_x)};
    launch<MaxPoolArguments>(device, stream, a, max_pool, cuda::max_pool);
}

void bind_max_unpool(int device, Address stream, int dtype, Address signal, Address switches, Address out,
                     int switch_bytes, bool use_switches, bool overwrite, bool positive_bit, Address mask,
                     bool backward, Address origin, Address out_origin, int64_t n, int64_t k, int64_t c, int64_t h,
                     int64_t w, int64_t p, int64_t q, int64_t out_h, int64_t out_w, int64_t map_h, int64_t map_w,
                     int64_t kernel_y, int64_t stride_y, int64_t padding_y, int64_t dilation_y, int64_t kernel_x,
                     int64_t stride_x, int64_t padding_x, int64_t dilation_x) {
    MaxUnpoolArguments a{static_cast<DType>(dtype),
                         at<void>(signal),
                         at<void>(switches),
                         at<void>(out),
                         switch_bytes,
                         use_switches,
                         overwrite,
                         positive_bit,
                         {at<uint8_t>(mask), backward},
                         {at<int64_t>(origin)},
                         {at<int64_t>(out_origin)},
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
                         axis(p, kernel_y, stride_y, padding_y, dilation_y),
                         axis(q, kernel_x, stride_x, padding_x, dilation_x)};
    launch<MaxUnpoolArguments>(device, stream, a, max_unpool, cuda::max_unpool);
}

int64_t bind_count(int dtype, Address signal, Address counts, int64_t pixels, int64_t channels) {
    return count_nonzeros({static_cast<DType>(dtype), at<void>(signal), at<int32_t>(counts), pixels, channels});
}

int64_t bind_pack(int dtype, bool dense, Address weight, Address packed, int64_t o, int64_t i, int64_t groups,
                  int64_t kernel_y, int64_t stride_y, int64_t kernel_x, int64_t stride_x, int64_t dilation_x) {
    ConvArguments a{};
    a.dtype = static_cast<DType>(dtype);
    a.o = o, a.i = i, a.groups = groups;
    a.y_axis = {kernel_y, stride_y, 0, 1}, a.x_axis = {kernel_x, stride_x, 0, dilation_x};
    if (packed) pack_weight(a, dense, at<void>(weight), at<void>(packed));
    return packed_size(a, dense);
}

void bind_conv_transpose(int device, Address stream, int dtype, bool dense, Address signal, Address packed,
                         Address counts, Address out, Address mask, bool backward, Address origin, Address out_origin,
                         int64_t n, int64_t k, int64_t o, int64_t i, int64_t h, int64_t w, int64_t out_h, int64_t out_w,
                         int64_t map_h, int64_t map_w, int64_t groups, int64_t kernel_y, int64_t stride_y,
                         int64_t padding_y, int64_t dilation_y, int64_t kernel_x, int64_t stride_x, int64_t padding_x,
                         int64_t dilation_x) {
    ConvArguments a{static_cast<DType>(dtype),
                    at<void>(signal),
                    at<void>(packed),
                    at<void>(out),
                    {at<uint8_t>(mask), backward},
                    {at<int64_t>(origin)},
                    {at<int64_t>(out_origin)},
                    n,
                    k,
                    o,
                    i,
                    h,
                    w,
                    out_h,
                    out_w,
                    map_h,
                    map_w,
                    groups,
                    {kernel_y, stride_y, padding_y, dilation_y},
                    {kernel_x, stride_x, padding_x, dilation_x},
                    at<int32_t>(counts)};
    launch<ConvArguments>(device, stream, a, dense ? conv_transpose_dense : conv_transpose_sparse, nullptr);
}

void bind_conv_transpose_cuda(int device, Address stream, int dtype, int way, bool tf32, Address signal, Address packed,
                              Address scratch, Address out, Address mask, bool backward, Address origin,
                              Address out_origin, int64_t n, int64_t k, int64_t o, int64_t i, int64_t h, int64_t w,
                              int64_t out_h, int64_t out_w, int64_t map_h, int64_t map_w, int64_t groups,
                              int64_t kernel_y, int64_t stride_y, int64_t padding_y, int64_t dilation_y,
                              int64_t kernel_x, int64_t stride_x, int64_t padding_x, int64_t dilation_x) {
    ConvArguments a{static_cast<DType>(dtype),
                    at<void>(signal),
                    at<void>(packed),
                    at<void>(out),
                    {at<uint8_t>(mask), backward},
                    {at<int64_t>(origin)},
                    {at<int64_t>(out_origin)},
                    n,
                    k,
                    o,
                    i,
                    h,
                    w,
                    out_h,
                    out_w,
                    map_h,
                    map_w,
                    groups,
                    {kernel_y, stride_y, padding_y, dilation_y},
                    {kernel_x, stride_x, padding_x, dilation_x},
                    nullptr,
                    static_cast<CudaWay>(way),
                    tf32,
                    at<void>(scratch)};
    launch<ConvArguments>(device, stream, a, nullptr, cuda::conv_transpose);
}

std::vector<uint64_t> bind_fingerprints(const std::vector<Address>& addresses, const std::vector<int64_t>& bytes,
                                        int64_t whole, int64_t lines) {
    if (addresses.size() != bytes.size() || lines < 1)
        throw std::invalid_argument("an address for each size, and lines");
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
    return py::dict(
        "ops"_a = ops, "dtypes"_a = dtypes, "cuda"_a = cuda_built(), "cuda_architectures"_a = cuda_architectures(),
        "cuda_devices"_a = device_count(), "cuda_reason"_a = device_reason(), "compiler"_a = DESALI_COMPILER,
        "threading"_a = threading(), "threads"_a = thread_count(), "last_cache_bytes"_a = last_cache_bytes(),
        "simd"_a = level_name(level()), "simd_best"_a = level_name(best_level()), "version"_a = DESALI_VERSION);
}

}  // namespace
}  // namespace desali

PYBIND11_MODULE(_core, m) {
    using namespace desali;
    using Free = py::call_guard<py::gil_scoped_release>;
    m.doc() = "The compute core of desali; called by desali.ops.";
    m.def("relu_with_mask", &bind_relu, Free());
    m.def("inverse_relu", &bind_inverse_relu, Free());
    m.def("max_pool", &bind_max_pool, Free());
    m.def("max_unpool", &bind_max_unpool, Free());
    m.def("count_nonzeros", &bind_count, Free());
    m.def("pack_weight", &bind_pack, Free());
    m.def("conv_transpose", &bind_conv_transpose, Free());
    m.def("conv_transpose_cuda", &bind_conv_transpose_cuda, Free());
    m.def("fingerprints", &bind_fingerprints, py::arg("addresses"), py::arg("bytes"), py::arg("whole"),
          py::arg("lines"));
    m.def("sparse_scratch_bytes", [](int dtype, int64_t pixels, int64_t channels, int64_t groups) {
        return sparse_scratch_bytes(static_cast<DType>(dtype), pixels, channels, groups);
    });
    m.def("describe", &describe);
    m.def("set_simd", [](const std::string& name) { return set_level(name.c_str()); });
    m.def("set_last_cache_bytes", &set_last_cache_bytes);
    m.def("large_pages", [](Address memory, int64_t bytes) { large_pages(at<void>(memory), bytes); });
}
