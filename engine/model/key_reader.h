// Typed and bounded reads of the keys of one architecture, <architecture>.<name>.
#pragma once

#include <cstdint>
#include <string>

#include "common/status.h"
#include "engine/gguf/gguf.h"

namespace mortar {

// `file` outlives the reader. Every error names the key.
class KeyReader {
 public:
  KeyReader(const GgufFile& file, const std::string& architecture)
      : file_(file), prefix_(architecture + '.') {}

  const GgufFile& file() const { return file_; }
  std::string Key(const std::string& name) const { return prefix_ + name; }
  bool Has(const std::string& name) const { return file_.metadata().contains(Key(name)); }

  // NotFound when it is absent, InvalidArgument when it is no integer of [min, max].
  absl::StatusOr<int> Int(const std::string& name, uint32_t min, uint32_t max) const;
  // NotFound when it is absent, InvalidArgument when it is no number above 0.
  absl::StatusOr<float> Positive(const std::string& name) const;
  // The same; `absent` when it is absent.
  absl::StatusOr<float> PositiveOr(const std::string& name, float absent) const;

  // Unimplemented when the key is there and is not the number at which it changes nothing.
  absl::Status ExpectNeutral(const std::string& name, double neutral) const;

  absl::Status Contradiction(const std::string& name, const std::string& what) const;

 private:
  const GgufFile& file_;
  std::string prefix_;
};

}  // namespace mortar
