// The arithmetic of the engine, one table of functions per instruction set.
#pragma once

#include <cstdint>

namespace mortar {

enum class KvType { kF32, kF16 };

// One layer's KV of one page.
struct KvShape {
  KvType type = KvType::kF16;
  int n_kv_heads = 0;
  int head_dim = 0;
};

struct KernelTable;

}  // namespace mortar
