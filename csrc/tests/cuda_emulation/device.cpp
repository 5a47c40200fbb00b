// The core as a Python module whose CUDA side is the emulation: one device, whose memory is the host's. It has no CPU
// kernels.
#include "device.hpp"

#include <stdexcept>

#include "fingerprint.hpp"

namespace desali {

bool cuda_built() {
    return true;
}

int device_count() {
    return 1;
}

std::string device_reason() {
    return "";
}

std::string cuda_architectures() {
    return "emulation on the host, not a GPU";
}

DeviceGuard::DeviceGuard(int device) : before_(device), device_(device) {}
DeviceGuard::~DeviceGuard() = default;

namespace cuda {
const Launcher<ReluArguments> relu_with_mask = &relu_with_mask_cuda;
const Launcher<InverseReluArguments> inverse_relu = &inverse_relu_cuda;
const Launcher<MaxPoolArguments> max_pool = &max_pool_cuda;
const Launcher<MaxUnpoolArguments> max_unpool = &max_unpool_cuda;
const Launcher<ConvArguments> conv_transpose = &conv_transpose_cuda;
}  // namespace cuda

[[noreturn]] static void absent() {
    throw std::runtime_error("this build has no CPU kernels");
}

void relu_with_mask(const ReluArguments&) {
    absent();
}
void inverse_relu(const InverseReluArguments&) {
    absent();
}
void max_pool(const MaxPoolArguments&) {
    absent();
}
void max_unpool(const MaxUnpoolArguments&) {
    absent();
}
int64_t count_nonzeros(const CountArguments&) {
    absent();
}
void conv_transpose_sparse(const ConvArguments&) {
    absent();
}
void conv_transpose_dense(const ConvArguments&) {
    absent();
}
bool lists_cells(const ConvArguments&) {
    absent();
}
int64_t packed_size(const ConvArguments&, bool) {
    absent();
}
bool pack_weight(const ConvArguments&, bool, const void*, void*) {
    absent();
}

void fingerprint(const FingerprintArguments&) {
    absent();
}

Level level() {
    return Level::portable;
}
Level best_level() {
    return Level::portable;
}
const char* level_name(Level) {
    return "none";
}
bool set_level(const char*) {
    return false;
}
int thread_count() {
    return 1;
}
const char* threading() {
    return "none";
}
int64_t last_cache_bytes() {
    return 0;
}
void set_last_cache_bytes(int64_t) {}

}  // namespace desali
