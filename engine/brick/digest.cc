#include "engine/brick/digest.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "common/check.h"
#include "engine/brick/image.h"
#include "engine/gguf/reader.h"

namespace mortar {
namespace {

// How much is read before the pages are given back, in bytes; a multiple of every page size.
constexpr uint64_t kPieceBytes = 1 << 20;

// Pieces end on multiples of kPieceBytes in the file, so that the pages between two pieces of
// one tensor belong wholly to one of them.
void UpdateTensor(const GgufFile& file, const TensorInfo& info, Sha256& hash) {
  const std::span<const uint8_t> data = file.Data(info);
  for (uint64_t at = 0; at < data.size();) {
    const uint64_t to_multiple = kPieceBytes - (info.offset + at) % kPieceBytes;
    const auto piece = data.subspan(at, std::min(to_multiple, data.size() - at));
    hash.Update(piece);
    file.DropPages(info, piece);
    at += piece.size();
  }
}

// The file's tensor for one of a manifest, or null when it is missing or differs.
const TensorInfo* FindSame(const GgufFile& file, const BrickTensor& tensor) {
  const TensorInfo* const info = file.FindTensor(tensor.name);
  if (info == nullptr || info->type != tensor.type || info->bytes != tensor.bytes ||
      !std::equal(tensor.shape.begin(), tensor.shape.end(), info->shape.begin(),
                  info->shape.begin() + info->n_dims)) {
    return nullptr;
  }
  return info;
}

absl::StatusOr<Digest> DigestDescriptor(int fd) {
  Sha256 hash;
  std::vector<uint8_t> piece(kPieceBytes);
  for (;;) {
    const ssize_t n = read(fd, piece.data(), piece.size());
    if (n == 0) return hash.Finish();
    if (n > 0) {
      hash.Update(std::span(piece.data(), static_cast<size_t>(n)));
    } else if (errno != EINTR) {
      return ErrnoStatus(errno, "cannot read it");
    }
  }
}

}  // namespace

// OpenSSL fails here only without memory or without SHA-256: nothing that input can bring about.
Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  CHECK(context_ != nullptr);
  CHECK(EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

void Sha256::Update(std::span<const uint8_t> bytes) {
  CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

void Sha256::Update(std::string_view text) {
  Update(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

Digest Sha256::Finish() {
  Digest digest;
  unsigned int n_bytes = 0;
  CHECK(EVP_DigestFinal_ex(context_.get(), digest.bytes.data(), &n_bytes) == 1);
  CHECK(n_bytes == digest.bytes.size());
  return digest;
}

Digest DigestOf(std::span<const uint8_t> bytes) {
  Sha256 hash;
  hash.Update(bytes);
  return hash.Finish();
}

Digest DigestOf(std::string_view text) {
  return DigestOf(std::span(reinterpret_cast<const uint8_t*>(text.data()), text.size()));
}

absl::StatusOr<Digest> DigestFile(const std::string& path) {
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, path + ": cannot open it");
  auto digest = DigestDescriptor(fd);
  close(fd);
  if (!digest.ok()) return WithContext(digest.status(), path);
  return digest;
}

Digest DigestBrick(const GgufFile& file, const Brick& brick) {
  Sha256 hash;
  hash.Update(std::string_view(kImageHead));
  for (const BrickTensor& tensor : brick.tensors) {
    const TensorInfo* const info = FindSame(file, tensor);
    CHECK(info != nullptr);
    hash.Update(FrameOf(tensor));
    UpdateTensor(file, *info, hash);
  }
  return hash.Finish();
}

absl::StatusOr<std::vector<BrickMismatch>> Verify(const GgufFile& file, const Manifest& manifest) {
  std::vector<BrickMismatch> mismatches;
  for (const Brick& brick : manifest.bricks) {
    const std::string where = file.path() + ": brick " + brick.name;
    if (!brick.digest) return FailedPrecondition(where + " has no digest to be verified");
    for (const BrickTensor& tensor : brick.tensors) {
      if (FindSame(file, tensor) == nullptr) {
        return InvalidArgument(where + ": tensor " + Quoted(tensor.name) +
                               " is missing or has another type or shape than in the manifest");
      }
    }
    const Digest found = DigestBrick(file, brick);
    if (found != *brick.digest) mismatches.push_back({brick.name, *brick.digest, found});
  }
  return mismatches;
}

}  // namespace mortar
