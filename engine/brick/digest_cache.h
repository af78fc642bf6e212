// Digests are computed once for a state of a file and then kept in a sidecar: a small text file
// next to the model, or, where that cannot be written, in a folder that the caller names.
//
// A sidecar counts only while each file of the model has the size, the time of modification (ns)
// and the inode that it states, and while its own check line is right; else the digests are
// computed anew. It saves time and proves nothing: verify (digest.h) and every fetch recompute.
#pragma once

#include <cstdint>
#include <string>

#include "common/status.h"
#include "engine/brick/manifest.h"
#include "engine/gguf/gguf.h"

namespace mortar {

struct DigestOutcome {
  bool computed = false;  // else every digest came from the sidecar
  std::string sidecar;    // the path that was read or written; empty when neither could be
  absl::Status kept;      // why computed digests could not be kept anywhere; OK otherwise
};

// Fills in the digest of every brick. `folder` holds the sidecars of models whose own folder
// cannot be written, and is made when it is needed; empty: there is none.
// Needs: `manifest` was built from `file`. Reads the whole file when it computes: a job for a
// thread that may block. Two processes may do this at once: sidecars are replaced whole.
DigestOutcome AddDigests(const GgufFile& file, const std::string& folder, Manifest& manifest);

// Where AddDigests keeps the digests of a model: next to it, and in `folder`, where the name is
// the SHA-256 of the model's absolute path.
std::string SidecarBeside(const std::string& model_path);
std::string SidecarIn(const std::string& folder, const std::string& model_path);

}  // namespace mortar
