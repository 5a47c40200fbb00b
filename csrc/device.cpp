// Build without CUDA: no launchers, no devices.
#include "device.hpp"

#include <stdexcept>

#include "built.hpp"  // written by CMake

namespace desali {

bool cuda_built() {
    return false;
}

int device_count() {
    return 0;
}

std::string device_reason() {
    return "not built (" DESALI_CUDA_REASON ")";
}

std::string cuda_architectures() {
    return "";
}

DeviceGuard::DeviceGuard(int device) : before_(-1), device_(device) {
    throw std::runtime_error("the CUDA kernels are " + device_reason());
}

DeviceGuard::~DeviceGuard() = default;

namespace cuda {
const Launcher<ReluArguments> relu_with_mask = nullptr;
const Launcher<InverseReluArguments> inverse_relu = nullptr;
const Launcher<MaxPoolArguments> max_pool = nullptr;
const Launcher<MaxUnpoolArguments> max_unpool = nullptr;
const Launcher<ConvArguments> conv_transpose = nullptr;
}  // namespace cuda

}  // namespace desali
