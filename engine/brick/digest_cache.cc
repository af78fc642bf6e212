#include "engine/brick/digest_cache.h"

#include <filesystem>
#include <fstream>
#include <optional>
#include <string_view>
#include <system_error>
#include <vector>

#include "common/files.h"
#include "engine/brick/digest.h"

namespace mortar {
namespace {

// Of a sidecar, in bytes: 65,536 bricks of 100 bytes, the most that a GGUF file can have.
constexpr std::uintmax_t kSidecarBytesMax = 8 << 20;

// A sidecar is exactly this text, with the bricks in the manifest's order:
//   mortar digests 1
//   file BYTES MODIFIED_NS INODE  of each file of the model, in order
//   brick NAME HEX
//   ...
//   check HEX                     SHA-256 of all lines before
std::string HeaderText(const std::vector<OpenedFile>& files) {
  std::string text = "mortar digests 1\n";
  for (const auto& [path, stamp] : files) {
    text += "file " + std::to_string(stamp.bytes) + " " + std::to_string(stamp.modified_ns) + " " +
            std::to_string(stamp.inode) + "\n";
  }
  return text;
}

// Needs: `digests` has one for each brick of the manifest.
std::string SidecarText(const std::vector<OpenedFile>& files, const Manifest& manifest,
                        const std::vector<Digest>& digests) {
  std::string text = HeaderText(files);
  for (size_t i = 0; i < digests.size(); ++i) {
    text += "brick " + manifest.bricks[i].name + " " + ToHex(digests[i]) + "\n";
  }
  return text + "check " + ToHex(DigestOf(text)) + "\n";
}

// Takes `expected` off the front of the text, or says that something else stands there.
bool Take(std::string_view expected, std::string_view& text) {
  if (!text.starts_with(expected)) return false;
  text.remove_prefix(expected.size());
  return true;
}

std::optional<Digest> TakeDigest(std::string_view& text) {
  constexpr size_t kHexDigits = 2 * sizeof(Digest::bytes);
  const std::optional<Digest> digest = ParseDigest(text.substr(0, kHexDigits));
  if (digest) text.remove_prefix(kHexDigits);
  return digest;
}

// Fills in the digests from a sidecar's text; false, with the manifest as it was, when the text
// is stale, of other bricks, or damaged.
bool FromSidecarText(std::string_view text, const std::vector<OpenedFile>& files,
                     Manifest& manifest) {
  const std::string_view whole = text;
  if (!Take(HeaderText(files), text)) return false;
  std::vector<Digest> digests;
  for (const Brick& brick : manifest.bricks) {
    if (!Take("brick " + brick.name + " ", text)) return false;
    const std::optional<Digest> digest = TakeDigest(text);
    if (!digest || !Take("\n", text)) return false;
    digests.push_back(*digest);
  }
  const std::string_view checked = whole.substr(0, whole.size() - text.size());
  if (text != "check " + ToHex(DigestOf(checked)) + "\n") return false;
  for (size_t i = 0; i < digests.size(); ++i) manifest.bricks[i].digest = digests[i];
  return true;
}

bool ReadSidecar(const std::string& path, const std::vector<OpenedFile>& files,
                 Manifest& manifest) {
  std::error_code error;
  const std::uintmax_t bytes = std::filesystem::file_size(path, error);
  if (error || bytes > kSidecarBytesMax || !std::filesystem::is_regular_file(path, error)) {
    return false;
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(bytes, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  return file.good() && FromSidecarText(text, files, manifest);
}

// Writes the sidecar's text beside the model, or else into the folder.
DigestOutcome Keep(const std::string& model_path, const std::vector<OpenedFile>& files,
                   const std::string& folder, const std::string& text) {
  for (const auto& [path, stamp] : files) {
    const auto now = StampOf(path);
    if (now.ok() && *now == stamp) continue;
    return {true, "", FailedPrecondition(path + ": changed while it was read")};
  }
  const std::string beside = SidecarBeside(model_path);
  const absl::Status status = ReplaceFile(beside, text);
  if (status.ok()) return {true, beside, absl::OkStatus()};
  if (folder.empty()) return {true, "", status};
  const absl::Status made = MakeFolder(folder);
  if (!made.ok()) return {true, "", made};
  const std::string elsewhere = SidecarIn(folder, model_path);
  const absl::Status kept = ReplaceFile(elsewhere, text);
  return {true, kept.ok() ? elsewhere : "", kept};
}

}  // namespace

std::string SidecarBeside(const std::string& model_path) { return model_path + ".digests"; }

std::string SidecarIn(const std::string& folder, const std::string& model_path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(model_path, error);
  const std::string key = error ? model_path : real.string();
  return (std::filesystem::path(folder) / (ToHex(DigestOf(key)) + ".digests")).string();
}

DigestOutcome AddDigests(const GgufFile& file, const std::string& folder, Manifest& manifest) {
  const std::vector<OpenedFile>& files = file.files();
  if (!files.empty()) {
    std::vector<std::string> sidecars = {SidecarBeside(file.path())};
    if (!folder.empty()) sidecars.push_back(SidecarIn(folder, file.path()));
    for (const std::string& sidecar : sidecars) {
      if (ReadSidecar(sidecar, files, manifest)) return {false, sidecar, absl::OkStatus()};
    }
  }
  std::vector<Digest> digests;
  digests.reserve(manifest.bricks.size());
  for (Brick& brick : manifest.bricks) {
    digests.push_back(DigestBrick(file, brick));
    brick.digest = digests.back();
  }
  // Bytes in memory, and what was made of a folder, have no sidecar.
  if (files.empty()) return {true, "", absl::OkStatus()};
  return Keep(file.path(), files, folder, SidecarText(files, manifest, digests));
}

}  // namespace mortar
