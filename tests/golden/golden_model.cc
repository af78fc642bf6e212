// See golden_model.h.
#include "tests/golden/golden_model.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "tests/support/test_model.h"

namespace mortar {

absl::StatusOr<std::unique_ptr<GoldenModel>> GoldenModel::Load(const std::string& isa,
                                                               KvType kv_type) {
  auto model = std::make_unique<GoldenModel>();
  ASSIGN_OR_RETURN(model->file_, GgufFile::Open(TestModelPath()));
  ASSIGN_OR_RETURN(model->kernels_, SelectKernels(isa));
  ASSIGN_OR_RETURN(const ModelConfig config, ReadModelConfig(*model->file_));
  const unsigned n_threads = std::clamp(std::thread::hardware_concurrency(), 1u, 16u);
  ASSIGN_OR_RETURN(model->pool_, ThreadPool::Create(static_cast<int>(n_threads)));
  EngineOptions options;
  options.kv_type = kv_type;
  options.kv_positions_max = 4096;  // the longest stored list
  options.context_max = 4096;
  options.rows_max = 512;
  options.logit_rows_max = 64;
  std::vector<PartSpec> parts(1);
  parts[0].embedding = true;
  parts[0].layers = {0, config.n_layers};
  parts[0].head = true;
  ASSIGN_OR_RETURN(model->engine_,
                   Engine::Load(*model->file_, parts, options, *model->kernels_, *model->pool_));
  ASSIGN_OR_RETURN(model->teacher_, Teacher::Create(*model->engine_, 0));
  return model;
}

std::string IsaOfEnvironment() {
  const char* isa = std::getenv("MORTAR_ISA");
  return isa == nullptr ? "" : isa;
}

bool WholeData() {
  const char* choice = std::getenv("GOLDEN_DATA");
  return choice != nullptr && std::string_view(choice) == "whole";
}

}  // namespace mortar
