// Drives every CUDA launcher over many geometries and compares with plain loops. Compiled for the host, the kernels are
// emulated; compiled with nvcc, they run on the GPU. Arguments: rounds (default 12), then names of ops (default all).
#include "check.hpp"

int main(int count, char** arguments) {
    int rounds = count > 1 ? std::atoi(arguments[1]) : 12;
    struct Group {
        const char* name;
        void (*cases)(int);
        int weight;
    };
    const Group groups[] = {{"relu", check::relu_cases, 2},
                            {"max_pool", check::pool_cases, 3},
                            {"max_unpool", check::unpool_cases, 4},
                            {"conv_transpose", check::conv_cases, 1}};
    if (rounds < 1) return std::fprintf(stderr, "rounds must be a positive number, got %s\n", arguments[1]), 2;
    for (const Group& group : groups) {
        bool wanted = count <= 2;
        for (int i = 2; i < count; ++i) wanted = wanted || std::strcmp(arguments[i], group.name) == 0;
        if (!wanted) continue;
        check::Tally before = check::tally;
        group.cases(rounds * group.weight);
        std::printf("%s: %lld cases, %lld values, %lld failures\n", group.name,
                    static_cast<long long>(check::tally.cases - before.cases),
                    static_cast<long long>(check::tally.values - before.values),
                    static_cast<long long>(check::tally.failures - before.failures));
        std::fflush(stdout);
    }
    if (check::tally.cases == 0) return std::fprintf(stderr, "no op of that name\n"), 2;
    return check::tally.failures ? 1 : 0;
}
