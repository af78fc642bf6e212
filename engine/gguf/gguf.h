// A model as GGUF describes it: metadata by GGUF's keys, tensors by GGUF's names. It is read from a
// GGUF file, version 2 or 3, or put together from what another format says (engine/hf).
//
// The file is mapped, never copied. Open() reads the header once and bounds every count, offset,
// string and array before it is used, so that everything after Open() is total: a tensor that is
// listed lies wholly inside the file, aligned, with a size that follows from its shape and type.
// Hostile bytes give a Status that names the field.
//
// Source: the GGUF specification (ggml-org/ggml, docs/gguf.md).
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/status.h"
#include "engine/gguf/file_bytes.h"

namespace mortar {

// The type of a tensor's elements, with GGUF's numbers.
enum class TensorType : uint32_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ5_0 = 6,
  kQ5_1 = 7,
  kQ8_0 = 8,
  kQ2_K = 10,
  kQ3_K = 11,
  kQ4_K = 12,
  kQ5_K = 13,
  kQ6_K = 14,
  kIQ4_NL = 20,
  kIQ4_XS = 23,
  kBF16 = 30,
};

const char* Name(TensorType type);   // "Q4_1"
int BlockElements(TensorType type);  // elements of one block: 256, 32, or 1 for float types
int BlockBytes(TensorType type);     // bytes of one block

// The part of a tensor whose bytes are not here: it is listed, and nobody may read it.
inline constexpr uint32_t kNoPart = ~uint32_t{0};

struct TensorInfo {
  std::string name;
  TensorType type = TensorType::kF32;
  int n_dims = 0;                             // 1 to 4
  std::array<uint64_t, 4> shape{1, 1, 1, 1};  // shape[0] varies fastest (the inputs of a matrix)
  uint64_t offset = 0;                        // from the start of its part
  uint64_t bytes = 0;
  uint32_t part = 0;  // of the model's parts, which are files, or memory; or kNoPart

  uint64_t n_elements() const { return shape[0] * shape[1] * shape[2] * shape[3]; }
};

using GgufArray = std::variant<std::vector<int64_t>, std::vector<uint64_t>, std::vector<double>,
                               std::vector<bool>, std::vector<std::string>>;
using GgufValue = std::variant<int64_t, uint64_t, double, bool, std::string, GgufArray>;
using GgufMetadata = std::map<std::string, GgufValue, std::less<>>;

struct GgufHeader;

// What a model is put together from when it is not one GGUF file.
struct GgufParts {
  GgufMetadata metadata;
  std::vector<TensorInfo> tensors;  // each wholly inside its part, if any, with names of their own
  std::vector<FileBytes> parts;     // files, and memory for what no file holds as it is
};

// A file as it was when it was opened.
struct OpenedFile {
  std::string path;
  FileStamp stamp;

  bool operator==(const OpenedFile&) const = default;
};

// Thread-compatible: const after Open(). The file must not be cut short while it is open.
class GgufFile {
 public:
  // Maps a file, and of a model that is split over several all others beside it, when it is the
  // first (split.h). Errors begin with the path: NotFound and the like
  // from the system, DataLoss for what is cut off, InvalidArgument for what the format forbids,
  // ResourceExhausted for what exceeds limits.h, Unimplemented for versions and tensor types that
  // are not read.
  static absl::StatusOr<std::shared_ptr<GgufFile>> Open(const std::string& path);
  // The same for bytes in memory, which are copied; `name` stands for the path in messages. Nothing
  // is opened: one file of several is InvalidArgument.
  static absl::StatusOr<std::shared_ptr<GgufFile>> FromBytes(std::span<const uint8_t> bytes,
                                                             const std::string& name);
  // A model whose parts were checked where they were read. InvalidArgument for two tensors of one
  // name.
  static absl::StatusOr<std::shared_ptr<GgufFile>> Assemble(GgufParts parts,
                                                            const std::string& name);
  ~GgufFile() = default;
  GgufFile(const GgufFile&) = delete;
  GgufFile& operator=(const GgufFile&) = delete;

  const std::string& path() const { return path_; }
  uint64_t file_bytes() const;  // of all parts
  // What Open() opened, which tells all of the model; nothing for FromBytes() and Assemble().
  const std::vector<OpenedFile>& files() const { return files_; }
  // FailedPrecondition, with its path, when a file was written to since it was opened, as of
  // FileBytes.
  absl::Status CheckUnchanged() const;
  const GgufMetadata& metadata() const { return metadata_; }
  const std::vector<TensorInfo>& tensors() const { return tensors_; }

  // Typed reads of one key. NotFound when it is absent, InvalidArgument (naming the key, the
  // type wanted and the type found) when it has another type or does not fit. Either kind of
  // integer will do where its value fits; GetFloat and GetFloats refuse what is not finite as a
  // float.
  absl::StatusOr<uint32_t> GetUint32(std::string_view key) const;
  absl::StatusOr<float> GetFloat(std::string_view key) const;
  absl::StatusOr<bool> GetBool(std::string_view key) const;
  absl::StatusOr<std::string> GetString(std::string_view key) const;
  absl::StatusOr<const std::vector<std::string>*> GetStrings(std::string_view key) const;
  absl::StatusOr<std::vector<int32_t>> GetInts(std::string_view key) const;
  absl::StatusOr<std::vector<float>> GetFloats(std::string_view key) const;

  const TensorInfo* FindTensor(std::string_view name) const;  // null when absent
  // Needs: the tensor has a part.
  std::span<const uint8_t> Data(const TensorInfo& tensor) const;

  // Gives the mapped pages wholly inside this tensor back to the kernel: reading them again is
  // allowed and reads the file again.
  void DropPages(const TensorInfo& tensor) const { DropPages(tensor, Data(tensor)); }
  // The same for a piece of one, so that a large tensor can be given back while it is read.
  void DropPages(const TensorInfo& tensor, std::span<const uint8_t> piece) const;

 private:
  GgufFile() = default;
  // The value of a key, or NotFound.
  absl::StatusOr<const GgufValue*> Find(std::string_view key) const;
  // InvalidArgument: the key, what was wanted, what was found.
  absl::Status Unfit(std::string_view key, const std::string& wanted,
                     const std::string& found) const;

  std::string path_;
  std::vector<FileBytes> parts_;
  std::vector<OpenedFile> files_;
  GgufMetadata metadata_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, size_t, std::less<>> tensor_index_;
};

}  // namespace mortar
