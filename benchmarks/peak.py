"""What the processor can multiply at most, and how much of it the step to the image reaches.

    python -m benchmarks.peak

A loop of independent fused multiply-adds on registers, compiled here with the system's C++ compiler for the
instruction set that the core chose, on one thread and on as many as torch uses; then conv1 of AlexNet transposed,
batch 16, dense, as the case `conv1` has it.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
from pathlib import Path

import click
import torch
from torch.utils.benchmark import Timer

from benchmarks.models import build
from benchmarks.operations import layers_of, sparse
from desali import ops
from desali.errors import DesaliError

BATCH = 16
_FLAGS = {"avx512": (["-mavx512f"], 16), "avx2": (["-mavx2", "-mfma"], 8)}
# Twelve sums: enough to hide a latency of four cycles with two multiply-adds a cycle (and of six).
_SOURCE = r"""
#include <immintrin.h>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

typedef float Vector __attribute__((vector_size(4 * LANES)));
constexpr long rounds = 400000;

#define ALL(f) f(0) f(1) f(2) f(3) f(4) f(5) f(6) f(7) f(8) f(9) f(10) f(11)
#define DECLARE(i) Vector sum##i = b;
#define MULTIPLY(i) asm volatile("vfmadd213ps %2, %1, %0" : "+v"(sum##i) : "v"(b), "v"(c));

void work() {
    Vector b = Vector{} + 0.999f, c = Vector{} + 1e-4f;
    ALL(DECLARE)
    for (long i = 0; i < rounds; ++i) { ALL(MULTIPLY) }
}

int main(int, char** argv) {
    int threads = std::atoi(argv[1]);
    for (int turn = 0; turn < 60; ++turn) {
        auto start = std::chrono::steady_clock::now();
        std::vector<std::thread> others;
        for (int t = 1; t < threads; ++t) others.emplace_back(work);
        work();
        for (auto& other : others) other.join();
        std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
        std::printf("%.3f\n", threads * rounds * 12.0 * 2 * LANES / seconds.count() / 1e9);
    }
}
"""


def multiply_rates(simd: str, threads: int) -> list[float]:
    """GFLOP/s of the register loop in float32, one number for each of 60 turns of some milliseconds.

    Raises:
        DesaliError: no loop for this instruction set, no C++ compiler, or it fails.
    """
    if simd not in _FLAGS:
        raise DesaliError(f"the loop is written for {' and '.join(_FLAGS)}, the core chose {simd!r} on this machine")
    compiler = shutil.which(os.environ.get("CXX", "c++"))
    if compiler is None:
        raise DesaliError("no C++ compiler c++ on the PATH; install one, or name it in CXX")
    flags, lanes = _FLAGS[simd]
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "peak.cpp"), Path(folder, "peak")
        source.write_text(_SOURCE)
        command = [
            compiler,
            "-O2",
            "-std=c++17",
            "-pthread",
            *flags,
            f"-DLANES={lanes}",
            str(source),
            "-o",
            str(program),
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, text=True)
            found = subprocess.run([str(program), str(threads)], check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise DesaliError(f"{error.cmd[0]} failed: {(error.stderr or '').strip()[-500:]}") from None
    return [float(line) for line in found.stdout.split()]


def step_to_image(threads: int) -> tuple[float, float]:
    """Billions of multiplications and additions in one call of conv1 transposed, and its median seconds."""
    net = build("alexnet", device="cpu")
    name = net.convolutions[0]
    layer = layers_of(net.module, net.images(1), "cpu")[name]
    signal = sparse((BATCH, layer.weight.shape[0], *layer.out_size), 1.0, "cpu")
    timer = Timer("run(signal)", globals={"run": layer.ours, "signal": signal}, num_threads=threads)
    return BATCH * layer.flop / 1e9, timer.blocked_autorange(min_run_time=2).median


@click.command()
def main() -> None:
    """Measure and print."""
    simd = str(ops.describe().get("simd"))
    try:
        for threads in sorted({1, torch.get_num_threads()}):
            rates = multiply_rates(simd, threads)
            peak = max(rates)
            flop, seconds = step_to_image(threads)
            click.echo(
                f"{threads} thread(s), {simd}: multiply-adds on registers {peak:.0f} GFLOP/s at best, "
                f"{statistics.median(rates):.0f} in the median of {len(rates)} turns; conv1 transposed, batch {BATCH}: "
                f"{flop:.2f} GFLOP in {seconds * 1e3:.2f} ms, {flop / seconds:.0f} GFLOP/s, "
                f"{flop / seconds / peak:.0%} of the best"
            )
    except DesaliError as error:
        raise click.ClickException(str(error)) from None


if __name__ == "__main__":
    main()
