// SHA-256 of bytes, of files and of bricks. The one home of OpenSSL's digests.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/digest.h"
#include "common/status.h"
#include "engine/brick/manifest.h"
#include "engine/gguf/gguf.h"

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace mortar {

// SHA-256 piece by piece. Source: FIPS 180-4, as OpenSSL implements it.
class Sha256 {
 public:
  Sha256();
  void Update(std::span<const uint8_t> bytes);
  void Update(std::string_view text);
  // Ends this digest. Needs: called once, and nothing after it.
  Digest Finish();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

Digest DigestOf(std::span<const uint8_t> bytes);
Digest DigestOf(std::string_view text);

// Of a whole file, read in pieces. Errors begin with the path.
absl::StatusOr<Digest> DigestFile(const std::string& path);

// Of a brick: the line "mortar brick 1\n", then for each tensor, ascending by name: the length
// of its name (64 bits), name, GGUF's number of its type (32), number of dimensions (32), the
// dimensions (64 each), its bytes' count (64), its bytes as the file holds them. Integers are
// little endian. Neither the brick's name nor where the tensors lie in the file enters it.
// The file's pages are given back as they are read. Needs: `brick` comes from this file.
Digest DigestBrick(const GgufFile& file, const Brick& brick);

struct BrickMismatch {
  std::string brick;
  Digest expected;  // by the manifest
  Digest found;     // by the file
};

// Hashes every brick anew, whatever any cache says, and returns those whose digest differs.
// FailedPrecondition when a brick has no digest to be compared with; InvalidArgument when the
// file lacks a tensor of the manifest or has it in another shape.
absl::StatusOr<std::vector<BrickMismatch>> Verify(const GgufFile& file, const Manifest& manifest);

}  // namespace mortar
