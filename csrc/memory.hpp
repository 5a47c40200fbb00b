// What the core asks of the system's memory.
#pragma once

#include <cstdint>

namespace desali {

// A wish to have huge pages behind memory that nobody has written yet. Linux only; a refusal does no harm.
void large_pages(void* memory, int64_t bytes);

}  // namespace desali
