#include "engine/hf/weights.h"

#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "engine/gguf/limits.h"
#include "engine/gguf/reader.h"
#include "engine/hf/tensor_plan.h"
#include "engine/model/tensor_names.h"

namespace mortar {
namespace {

// A tensor is read in place from here on; kernels take whole numbers where they lie.
constexpr uint64_t kInPlaceAlignment = 4;

// What is done with one tensor.
struct Work {
  const StoredTensor* stored;
  TensorPlan plan;
  uint64_t n_rows = 0;
  uint64_t n_columns = 0;
};

absl::StatusOr<Work> Measure(const StoredTensor& stored, TensorPlan plan, const HfConfig& config) {
  const SafeTensor& tensor = stored.tensor;
  const bool is_vector = plan.change == Change::kVector || plan.change == Change::kVectorPlusOne;
  const size_t n_dims = is_vector ? 1 : 2;
  if (tensor.shape.size() != n_dims || tensor.bytes == 0) {
    return InvalidArgument("tensor " + Quoted(tensor.name) + ": expected " +
                           std::to_string(n_dims) + " dimensions above 0, got " +
                           std::to_string(tensor.shape.size()) + " of " +
                           std::to_string(tensor.bytes) + " bytes");
  }
  Work work{&stored, std::move(plan), is_vector ? 1 : tensor.shape[0], tensor.shape.back()};
  const uint64_t head_rows =
      static_cast<uint64_t>(work.plan.n_heads) * static_cast<uint64_t>(config.head_dim);
  if (work.plan.change == Change::kPairRows &&
      (work.n_rows != head_rows || config.head_dim % 2 != 0)) {
    return InvalidArgument(
        "tensor " + Quoted(tensor.name) + ": expected " + std::to_string(head_rows) +
        " rows, those of " + std::to_string(work.plan.n_heads) + " heads of even width " +
        std::to_string(config.head_dim) + ", got " + std::to_string(work.n_rows));
  }
  return work;
}

TensorType TypeFor(const Work& work, Quantize quantize) {
  if (work.plan.change == Change::kVector || work.plan.change == Change::kVectorPlusOne) {
    return TensorType::kF32;
  }
  const bool is_end = work.plan.name == kEmbeddingTensor || work.plan.name == kHeadTensor;
  return QuantizedType(quantize, work.stored->tensor.type, work.n_columns, is_end);
}

class Maker {
 public:
  Maker(const Checkpoint& checkpoint, const HfConfig& config, Quantize quantize, ThreadPool& pool)
      : checkpoint_(checkpoint), config_(config), quantize_(quantize), pool_(pool) {}

  // Appends the tensor, and the memory for it where its file does not have it as it is.
  absl::Status Add(const Work& work, GgufParts& parts) {
    const SafeTensor& tensor = work.stored->tensor;
    TensorInfo info;
    info.name = work.plan.name;
    info.type = TypeFor(work, quantize_);
    info.n_dims = static_cast<int>(tensor.shape.size());
    info.shape = {work.n_columns, work.n_rows, 1, 1};
    const bool in_place =
        info.type == tensor.type && tensor.offset % kInPlaceAlignment == 0 &&
        (work.plan.change == Change::kNone || work.plan.change == Change::kVector);
    if (in_place) {
      info.offset = tensor.offset;
      info.bytes = tensor.bytes;
      info.part = work.stored->file;
      parts.tensors.push_back(std::move(info));
      return absl::OkStatus();
    }
    info.bytes = work.n_rows * QuantizedRowBytes(info.type, work.n_columns);
    info.part = static_cast<uint32_t>(checkpoint_.files.size() + made_.size());
    auto made = FileBytes::Make(info.bytes, [&](std::span<uint8_t> to) { Fill(work, info, to); });
    if (!made.ok()) return WithContext(made.status(), "tensor " + Quoted(tensor.name));
    made_.push_back(std::move(made).value());
    checkpoint_.files[work.stored->file].DropPages(Data(work));
    parts.tensors.push_back(std::move(info));
    return absl::OkStatus();
  }

  // Appends a vector that no file has.
  absl::Status AddFactors(const FactorTensor& factors, GgufParts& parts) {
    TensorInfo info;
    info.name = factors.name;
    info.n_dims = 1;
    info.shape[0] = factors.values.size();
    info.bytes = factors.values.size() * sizeof(float);
    info.part = static_cast<uint32_t>(checkpoint_.files.size() + made_.size());
    ASSIGN_OR_RETURN(FileBytes made, FileBytes::Make(info.bytes, [&](std::span<uint8_t> to) {
                       std::memcpy(to.data(), factors.values.data(), to.size());
                     }));
    made_.push_back(std::move(made));
    parts.tensors.push_back(std::move(info));
    return absl::OkStatus();
  }

  std::vector<FileBytes> TakeMade() { return std::move(made_); }

 private:
  std::span<const uint8_t> Data(const Work& work) const {
    const SafeTensor& tensor = work.stored->tensor;
    return checkpoint_.files[work.stored->file].span().subspan(tensor.offset, tensor.bytes);
  }

  // Row by row: from the file's type to F32 and on to the wanted one, or as it is.
  void Fill(const Work& work, const TensorInfo& info, std::span<uint8_t> to) {
    const uint8_t* const from = Data(work).data();
    const uint64_t from_bytes = work.stored->tensor.bytes / work.n_rows;
    const uint64_t to_bytes = info.bytes / work.n_rows;
    const auto head_dim = static_cast<uint64_t>(config_.head_dim);
    pool_.Run([&](int thread) {
      const auto n_threads = static_cast<uint64_t>(pool_.n_threads());
      const auto number = static_cast<uint64_t>(thread);
      std::vector<float> values(work.n_columns);
      for (uint64_t row = work.n_rows * number / n_threads;
           row < work.n_rows * (number + 1) / n_threads; ++row) {
        const uint64_t source =
            work.plan.change == Change::kPairRows ? PairedRow(row, head_dim) : row;
        const uint8_t* const src = from + source * from_bytes;
        uint8_t* const dst = to.data() + row * to_bytes;
        if (info.type == work.stored->tensor.type && work.plan.change != Change::kVectorPlusOne) {
          std::memcpy(dst, src, to_bytes);
          continue;
        }
        ReadFloats(work.stored->tensor.type, src, values);
        if (work.plan.change == Change::kVectorPlusOne) {
          for (float& value : values) value += 1;
        }
        QuantizeRow(info.type, values, dst);
      }
    });
  }

  const Checkpoint& checkpoint_;
  const HfConfig& config_;
  const Quantize quantize_;
  ThreadPool& pool_;
  std::vector<FileBytes> made_;
};

}  // namespace

absl::Status AddTensors(Checkpoint checkpoint, const HfConfig& config, Quantize quantize,
                        ThreadPool& pool, GgufParts& parts) {
  const std::set<std::string> known = TensorNames(*config.traits, config.n_layers);
  Maker maker(checkpoint, config, quantize, pool);
  for (const auto& [name, stored] : checkpoint.tensors) {
    ASSIGN_OR_RETURN(std::optional<TensorPlan> plan, PlanTensor(name, config, known));
    if (!plan) continue;
    ASSIGN_OR_RETURN(const Work work, Measure(stored, std::move(*plan), config));
    RETURN_IF_ERROR(maker.Add(work, parts));
  }
  for (const FactorTensor& factors : config.factors) {
    RETURN_IF_ERROR(maker.AddFactors(factors, parts));
  }
  parts.parts = std::move(checkpoint.files);
  for (FileBytes& made : maker.TakeMade()) parts.parts.push_back(std::move(made));
  return absl::OkStatus();
}

}  // namespace mortar
