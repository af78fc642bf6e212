#include "cli/key_files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "cli/config_file.h"
#include "cli/folders.h"
#include "cli/text_input.h"
#include "common/files.h"
#include "protocol/endpoint.h"

namespace mortar {
namespace {

// An open file, closed with its scope.
class File {
 public:
  explicit File(int fd) : fd_(fd) {}
  ~File() {
    if (fd_ >= 0) close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  int fd() const { return fd_; }

 private:
  int fd_;
};

absl::Status WriteAndSync(const File& file, std::string_view text, const std::string& path) {
  RETURN_IF_ERROR(WriteAll(file.fd(), text, path));
  return fsync(file.fd()) == 0 ? absl::OkStatus() : ErrnoStatus(errno, "write " + path);
}

absl::Status MakeFolderOf(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return folder.empty() ? absl::OkStatus() : MakeFolder(folder.string());
}

// Its owner, and those of its group who serve with him, may read a secret; nobody else.
constexpr unsigned kNotOfASecret = S_IWGRP | S_IXGRP | S_IRWXO;
// A key file is three lines.
constexpr size_t kKeyFileBytesMax = 4096;
// Whoever writes a list lets himself in.
constexpr unsigned kNotOfAList = S_IWGRP | S_IWOTH;

}  // namespace

std::string ConfigPath(const Environment& environment, const std::string& name) {
  std::string folder = Variable(environment, "XDG_CONFIG_HOME");
  if (folder.empty()) folder = Home(environment) + "/.config";
  return folder + "/mortar/" + name;
}

// --- A node's own pair ---

namespace {

struct KeyFile {
  KeyPair keys;
  std::string listen;
};

absl::Status NoKeyFile(const std::string& where, const std::string& what) {
  return InvalidArgument(where + ": " + what + (what.empty() ? "" : "; ") +
                         "a key file holds two texts, public = \"…\" and secret = \"…\", of 64 "
                         "hexadecimal digits each, as mortar keys new writes it");
}

absl::StatusOr<KeyFile> ParseKeyFile(const std::string& text, const std::string& path) {
  const auto entries = ParseConfig(text, path);
  // What a parser stumbles over may be a secret: neither it nor its place is said.
  if (!entries.ok()) return NoKeyFile(path, "this is no key file");
  std::string public_text, secret_text;
  KeyFile file;
  for (const ConfigEntry& entry : *entries) {
    const auto* value = std::get_if<std::string>(&entry.value);
    const bool known = entry.key == "public" || entry.key == "secret" || entry.key == "listen";
    if (value == nullptr || !known) {
      return NoKeyFile(path + ":" + std::to_string(entry.line), "");
    }
    (entry.key == "public"   ? public_text
     : entry.key == "secret" ? secret_text
                             : file.listen) = *value;
  }
  auto keys = ParseSecretKey(secret_text);
  if (!keys.ok()) return NoKeyFile(path + ": secret", Message(keys.status()));
  const auto public_key = ParsePublicKey(public_text);
  if (!public_key.ok()) return NoKeyFile(path + ": public", Message(public_key.status()));
  if (*public_key != keys->public_key) {
    return InvalidArgument(path + ": this public key is not the secret one's");
  }
  file.keys = *std::move(keys);
  return file;
}

absl::StatusOr<KeyFile> ReadWholeKeyFile(const std::string& path) {
  ASSIGN_OR_RETURN(
      const std::string whole,
      ReadGuardedFile(path, kKeyFileBytesMax, kNotOfASecret,
                      "others than its owner can read or change this secret; chmod 600 it, and "
                      "make a new one if they did"));
  return ParseKeyFile(whole, path);
}

absl::Status WriteNewKeyFile(const std::string& path, const KeyPair& keys,
                             const std::string& listen) {
  RETURN_IF_ERROR(MakeFolderOf(path));
  const File file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (file.fd() < 0) return ErrnoStatus(errno, "create " + path);
  std::string text =
      "# Keys of a Mortar node. Others get the public one; the secret one stays in this file.\n"
      "public = \"" +
      ToHex(keys.public_key) +
      "\"\n"
      "secret = \"" +
      ToHex(keys.secret_key) + "\"\n";
  if (!listen.empty()) text += "listen = \"" + listen + "\"\n";
  absl::Status written = WriteAndSync(file, text, path);
  if (!written.ok()) unlink(path.c_str());  // half of it would stand in the way of the next one
  return written;
}

absl::Status SyncFolderOf(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  const std::string name = folder.empty() ? "." : folder.string();
  const File file(open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (file.fd() < 0 || fsync(file.fd()) != 0) return ErrnoStatus(errno, "write " + name);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<KeyPair> ReadKeyFile(const std::string& path) {
  ASSIGN_OR_RETURN(KeyFile file, ReadWholeKeyFile(path));
  return std::move(file.keys);
}

absl::Status WriteKeyFile(const std::string& path, const KeyPair& keys) {
  return WriteNewKeyFile(path, keys, "");
}

// --- The pair that comes next ---

std::string NextKeyPath(const std::string& path) { return path + ".next"; }

absl::Status WriteNextKeyFile(const std::string& path, const NextKeys& next) {
  return WriteNewKeyFile(NextKeyPath(path), next.keys, next.listen);
}

absl::Status PromoteNextKeyFile(const std::string& path) {
  const std::string next = NextKeyPath(path);
  RETURN_IF_ERROR(ReadWholeKeyFile(next).status());
  if (rename(next.c_str(), path.c_str()) != 0) return ErrnoStatus(errno, "rename " + next);
  return SyncFolderOf(path);
}

absl::StatusOr<NodeKeys> ReadKeyFiles(const std::string& path) {
  // The next one first: when it becomes this node's own in between, it is read twice.
  const std::string next_path = NextKeyPath(path);
  auto next = ReadWholeKeyFile(next_path);
  if (!next.ok() && !absl::IsNotFound(next.status())) return next.status();
  NodeKeys keys;
  ASSIGN_OR_RETURN(keys.own, ReadKeyFile(path));
  if (!next.ok()) return keys;
  const auto listen = ParseEndpoint(next->listen);
  if (!listen.ok()) {
    return WithContext(listen.status(), next_path + ": listen, where the new key is to be served");
  }
  keys.next = NextKeys{.listen = ToString(*listen), .keys = std::move(next->keys)};
  return keys;
}

// --- The list ---

absl::StatusOr<AllowList> ReadAllowList(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text,
                   ReadGuardedFile(path, kAllowListBytesMax, kNotOfAList,
                                   "others than its owner can change this list, and so let "
                                   "themselves in; chmod go-w it"));
  if (text.empty()) {
    return InvalidArgument(path +
                           ": an empty file is no list; a line that begins with # allows "
                           "nobody on purpose");
  }
  auto list = AllowList::Parse(text);
  if (!list.ok()) return WithContext(list.status(), path);
  return list;
}

namespace {

// The list's file, made if there is none, and locked: it is replaced as a whole, so that whoever
// waited for the lock may hold a file that is the list no more.
absl::StatusOr<std::unique_ptr<File>> LockList(const std::string& path) {
  constexpr int kTries = 100;  // of people at one list at once
  for (int i = 0; i < kTries; ++i) {
    auto file = std::make_unique<File>(open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0644));
    if (file->fd() < 0) return ErrnoStatus(errno, "open " + path);
    struct stat held{}, there{};
    if (flock(file->fd(), LOCK_EX) != 0 || fstat(file->fd(), &held) != 0) {
      return ErrnoStatus(errno, "lock " + path);
    }
    if (stat(path.c_str(), &there) == 0 && held.st_ino == there.st_ino) return file;
  }
  return Unavailable(path + ": others keep changing it");
}

// The file itself, where the path is a link to it.
std::string Followed(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  return error ? path : real.string();
}

// `text` as a new file with the mode and the owner of `list`.
absl::Status WriteLike(const File& list, const std::string& path, const std::string& text) {
  struct stat like{};
  if (fstat(list.fd(), &like) != 0) return ErrnoStatus(errno, "open " + path);
  (void)unlink(path.c_str());  // of somebody who was interrupted; the lock is ours
  const File file(open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (file.fd() < 0) return ErrnoStatus(errno, "create " + path);
  if (fchown(file.fd(), like.st_uid, like.st_gid) != 0) {
    return ErrnoStatus(errno, "give " + path + " the owner of the list");
  }
  if (fchmod(file.fd(), like.st_mode & 0777) != 0) return ErrnoStatus(errno, "chmod " + path);
  return WriteAndSync(file, text, path);
}

// In the place of the list, at once.
absl::Status ReplaceList(const std::string& path, const File& list, const std::string& text) {
  const std::string next = path + ".new";
  absl::Status written = WriteLike(list, next, text);
  if (written.ok() && rename(next.c_str(), path.c_str()) != 0) {
    written = ErrnoStatus(errno, "rename " + next);
  }
  if (!written.ok()) {
    (void)unlink(next.c_str());
    return written;
  }
  return SyncFolderOf(path);
}

}  // namespace

absl::Status AllowKey(const std::string& given, const AllowedKey& key) {
  RETURN_IF_ERROR(MakeFolderOf(given));
  const std::string path = Followed(given);
  ASSIGN_OR_RETURN(const std::unique_ptr<File> lock, LockList(path));
  ASSIGN_OR_RETURN(const std::string old, ReadWholeFile(path, kAllowListBytesMax));
  std::string text = WithoutKey(old, key.key).value_or(old);
  if (!text.empty() && !text.ends_with('\n')) text += '\n';
  text += LineOf(key) + "\n";
  const auto list = AllowList::Parse(text);
  if (!list.ok()) return WithContext(list.status(), path);
  return ReplaceList(path, *lock, text);
}

absl::Status RevokeKey(const std::string& given, const PublicKey& key) {
  RETURN_IF_ERROR(ReadAllowList(given).status());
  const std::string path = Followed(given);
  ASSIGN_OR_RETURN(const std::unique_ptr<File> lock, LockList(path));
  ASSIGN_OR_RETURN(const std::string old, ReadWholeFile(path, kAllowListBytesMax));
  std::optional<std::string> text = WithoutKey(old, key);
  if (text && text->empty()) text = "# nobody\n";
  if (!text) return NotFound(path + ": key " + ToHex(key) + " is not on this list");
  return ReplaceList(path, *lock, *text);
}

}  // namespace mortar
