// The default model in one engine, teacher-forced: what the golden tests compare.
#pragma once

#include <memory>
#include <string>

#include "engine/batch/engine.h"
#include "engine/batch/teacher.h"

namespace mortar {

// A thread for each CPU; logits in batches of 64 rows.
class GoldenModel {
 public:
  // Loads the model of tests/support/test_model.h. Every error names what is missing.
  // `isa` as for SelectKernels.
  static absl::StatusOr<std::unique_ptr<GoldenModel>> Load(const std::string& isa,
                                                           KvType kv_type = KvType::kF32);

  Teacher& teacher() { return *teacher_; }
  const GgufFile& file() const { return *file_; }
  const char* kernels() const { return kernels_->name; }

 private:
  std::shared_ptr<GgufFile> file_;
  const KernelTable* kernels_ = nullptr;
  std::unique_ptr<ThreadPool> pool_;
  std::unique_ptr<Engine> engine_;
  std::unique_ptr<Teacher> teacher_;  // gives its KV back, so it goes before the engine
};

// MORTAR_ISA, or "" for the best that this CPU has.
std::string IsaOfEnvironment();

// How much of the data a run walks through: everything with GOLDEN_DATA=whole, which
// `./dev test --long` sets; otherwise the part that docs/testing.md states.
bool WholeData();

}  // namespace mortar
