// Goal: a secret stays its owner's, a list is whole at every moment, and what is wrong with a file
// is said with its name.
#include "cli/key_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>
#include <vector>

#include "cli/allow_list_watch.h"

namespace mortar {
namespace {

using testing::HasSubstr;

class KeyFiles : public testing::Test {
 protected:
  KeyFiles() {
    std::string pattern = testing::TempDir() + "keys-XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  ~KeyFiles() override { std::filesystem::remove_all(folder_); }
  std::string Path(const std::string& name) const { return folder_ + "/" + name; }
  std::string Write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    std::ofstream(Path(name)) << text;
    EXPECT_EQ(chmod(Path(name).c_str(), mode), 0);
    return Path(name);
  }
  static mode_t ModeOf(const std::string& path) {
    struct stat status{};
    EXPECT_EQ(stat(path.c_str(), &status), 0);
    return status.st_mode & 0777;
  }
  static std::string Text(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string folder_;
};

// --- A node's pair ---

TEST_F(KeyFiles, APairIsReadAsItWasWrittenAndIsItsOwnersAlone) {
  const KeyPair pair = NewKeyPair();
  const std::string path = Path("new/folder/node.key");
  ASSERT_TRUE(WriteKeyFile(path, pair).ok());
  EXPECT_EQ(ModeOf(path), 0600u);
  const auto read = ReadKeyFile(path);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->public_key, pair.public_key);
  EXPECT_EQ(read->secret_key.bytes, pair.secret_key.bytes);
}

TEST_F(KeyFiles, APairIsNeverOverwritten) {
  const std::string path = Path("node.key");
  const KeyPair first = NewKeyPair();
  ASSERT_TRUE(WriteKeyFile(path, first).ok());
  const absl::Status again = WriteKeyFile(path, NewKeyPair());
  EXPECT_TRUE(absl::IsAlreadyExists(again)) << again;
  EXPECT_THAT(Message(again), HasSubstr(path));
  EXPECT_EQ(ReadKeyFile(path)->public_key, first.public_key);
}

TEST_F(KeyFiles, ASecretThatOthersCanReadIsNoSecret) {
  const std::string path = Path("node.key");
  ASSERT_TRUE(WriteKeyFile(path, NewKeyPair()).ok());
  for (const mode_t mode : {0604, 0602, 0644, 0620, 0666}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    EXPECT_THAT(Message(ReadKeyFile(path).status()), HasSubstr("chmod 600"));
  }
  ASSERT_EQ(chmod(path.c_str(), 0640), 0);  // a service's group, as Kubernetes mounts secrets
  EXPECT_TRUE(ReadKeyFile(path).ok());
}

TEST_F(KeyFiles, WhatIsNoPairIsSaidWithoutItsSecret) {
  const KeyPair pair = NewKeyPair(), other = NewKeyPair();
  const std::string secret = ToHex(pair.secret_key);
  const auto refusal = [&](const std::string& text) {
    const absl::Status status = ReadKeyFile(Write("k", text)).status();
    EXPECT_FALSE(status.ok()) << text;
    EXPECT_THAT(Message(status), HasSubstr(Path("k")));
    EXPECT_EQ(Message(status).find(secret.substr(0, 16)), std::string::npos) << status;
    return Message(status);
  };
  EXPECT_THAT(refusal(""), HasSubstr("secret: a secret key has 64"));
  EXPECT_THAT(refusal("secret = \"" + secret + "\"\n"), HasSubstr("public: a public key has 64"));
  EXPECT_THAT(
      refusal("public = \"" + ToHex(other.public_key) + "\"\nsecret = \"" + secret + "\"\n"),
      HasSubstr("this public key is not the secret one's"));
  EXPECT_THAT(refusal("secret = 5\n"), HasSubstr(":1: a key file holds two texts"));
  EXPECT_THAT(refusal("secret = \"" + secret + "\"\nowner = \"me\"\n"),
              HasSubstr(":2: a key file"));
  EXPECT_THAT(refusal("secret = \"" + secret + "\n"),
              HasSubstr(": this is no key file; a key file holds two texts"));
  EXPECT_TRUE(absl::IsNotFound(ReadKeyFile(Path("none")).status()));
}

// --- The list ---

TEST_F(KeyFiles, AKeyIsAllowedWithOneLineAndRevokedWithoutTouchingOthers) {
  const PublicKey a = NewKeyPair().public_key, b = NewKeyPair().public_key;
  const std::string path = Write("allowed", "# the laboratory", 0640);
  ASSERT_TRUE(AllowKey(path, {a, {Role::kWorker}, "lab-1"}).ok());
  ASSERT_TRUE(AllowKey(path, {b, {Role::kEdge}, ""}).ok());
  EXPECT_EQ(Text(path), "# the laboratory\n" + ToHex(a) + " worker lab-1\n" + ToHex(b) + " edge\n");
  ASSERT_TRUE(AllowKey(path, {a, {Role::kEdge, Role::kWorker}, "lab-1"}).ok()) << "changed";
  EXPECT_TRUE(ReadAllowList(path)->Allows(a, Role::kEdge));
  ASSERT_TRUE(RevokeKey(path, a).ok());
  EXPECT_EQ(Text(path), "# the laboratory\n" + ToHex(b) + " edge\n");
  EXPECT_EQ(ModeOf(path), 0640u);
  EXPECT_THAT(Message(RevokeKey(path, a)), HasSubstr("is not on this list"));
}

TEST_F(KeyFiles, AListIsMadeWhenThereIsNoneButNotToRevokeFromIt) {
  const std::string path = Path("folder/allowed");
  EXPECT_TRUE(absl::IsNotFound(RevokeKey(path, NewKeyPair().public_key)));
  EXPECT_FALSE(std::filesystem::exists(path));
  const PublicKey a = NewKeyPair().public_key;
  ASSERT_TRUE(AllowKey(path, {a, {Role::kRelay}, ""}).ok());
  EXPECT_TRUE(ReadAllowList(path)->Allows(a, Role::kRelay));
}

TEST_F(KeyFiles, AListThatIsBrokenIsLeftAsItIs) {
  const std::string path = Write("allowed", "nonsense\n");
  const absl::Status status = AllowKey(path, {NewKeyPair().public_key, {Role::kEdge}, ""});
  EXPECT_THAT(Message(status), HasSubstr(path + ": line 1"));
  EXPECT_EQ(Text(path), "nonsense\n");
}

TEST_F(KeyFiles, TwoWhoWriteAtOnceBothHaveTheirLine) {
  const std::string path = Path("allowed");
  constexpr int kEach = 20;
  const auto write = [&] {
    for (int i = 0; i < kEach; ++i) {
      const absl::Status status = AllowKey(path, {NewKeyPair().public_key, {Role::kEdge}, ""});
      EXPECT_TRUE(status.ok()) << status;
    }
  };
  std::thread other(write);
  write();
  other.join();
  EXPECT_EQ(ReadAllowList(path)->keys().size(), 2u * kEach);
}

TEST_F(KeyFiles, AListThatIsALinkIsChangedWhereItLies) {
  const PublicKey a = NewKeyPair().public_key;
  const std::string real = Write("real", LineOf({a, {Role::kEdge}, ""}) + "\n# others\n");
  std::filesystem::create_symlink(real, Path("link"));
  ASSERT_TRUE(RevokeKey(Path("link"), a).ok());
  EXPECT_TRUE(std::filesystem::is_symlink(Path("link")));
  EXPECT_EQ(Text(real), "# others\n");
}

TEST_F(KeyFiles, AListKeepsItsOwner) {
  // Only root can give a file away; anybody else's stays his.
  const uid_t owner = geteuid() == 0 ? 65534 : geteuid();
  const gid_t group = geteuid() == 0 ? 65534 : getegid();
  const std::string path = Write("allowed", "# nobody\n");
  ASSERT_EQ(chown(path.c_str(), owner, group), 0);
  ASSERT_TRUE(AllowKey(path, {NewKeyPair().public_key, {Role::kEdge}, ""}).ok());
  struct stat status{};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, owner);
  EXPECT_EQ(status.st_gid, group);
  EXPECT_EQ(ModeOf(path), 0600u);
}

TEST_F(KeyFiles, WhatStandsInTheWayOfTheNewListIsNotWrittenTo) {
  const std::string path = Write("allowed", "# nobody\n");
  const std::string other = Write("other", "precious");
  std::filesystem::create_symlink(other, path + ".new");
  ASSERT_TRUE(AllowKey(path, {NewKeyPair().public_key, {Role::kEdge}, ""}).ok());
  EXPECT_EQ(Text(other), "precious");
  EXPECT_FALSE(std::filesystem::is_symlink(path));
}

TEST_F(KeyFiles, AListThatOthersCanChangeOrThatIsEmptyIsNone) {
  const std::string path = Write("allowed", "# nobody\n");
  for (const mode_t mode : {0660, 0606, 0622}) {
    ASSERT_EQ(chmod(path.c_str(), mode), 0);
    EXPECT_THAT(Message(ReadAllowList(path).status()), HasSubstr("chmod go-w"));
  }
  EXPECT_TRUE(ReadAllowList(Write("allowed", "# nobody\n", 0644)).ok());
  EXPECT_THAT(Message(ReadAllowList(Write("allowed", "")).status()), HasSubstr("empty file"));
}

// --- The pair that comes next ---

TEST_F(KeyFiles, TheNextPairLiesBesideAndTakesTheOldOnesPlace) {
  const std::string path = Path("node.key");
  const KeyPair old_pair = NewKeyPair(), next = NewKeyPair();
  ASSERT_TRUE(WriteKeyFile(path, old_pair).ok());
  EXPECT_FALSE(ReadKeyFiles(path)->next.has_value());
  EXPECT_TRUE(absl::IsNotFound(PromoteNextKeyFile(path)));

  ASSERT_TRUE(WriteNextKeyFile(path, {"tcp://10.0.0.1:4752", next}).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(WriteNextKeyFile(path, {"tcp://10.0.0.1:1", NewKeyPair()})));
  EXPECT_EQ(ModeOf(path + ".next"), 0600u);
  const auto both = ReadKeyFiles(path);
  ASSERT_TRUE(both.ok() && both->next.has_value()) << both.status();
  EXPECT_EQ(both->own.public_key, old_pair.public_key);
  EXPECT_EQ(both->next->keys.public_key, next.public_key);
  EXPECT_EQ(both->next->listen, "tcp://10.0.0.1:4752");

  ASSERT_TRUE(PromoteNextKeyFile(path).ok());
  const auto after = ReadKeyFiles(path);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->own.public_key, next.public_key);
  EXPECT_FALSE(after->next.has_value());
}

TEST_F(KeyFiles, ANextPairThatIsBrokenIsNoneAndDoesNotTakeTheOldOnesPlace) {
  const std::string path = Path("node.key");
  const KeyPair pair = NewKeyPair();
  ASSERT_TRUE(WriteKeyFile(path, pair).ok());
  Write("node.key.next", "nonsense");
  EXPECT_THAT(Message(ReadKeyFiles(path).status()), HasSubstr("node.key.next"));
  EXPECT_TRUE(absl::IsInvalidArgument(PromoteNextKeyFile(path)));
  EXPECT_EQ(ReadKeyFile(path)->public_key, pair.public_key);
  std::filesystem::remove(path + ".next");
  ASSERT_TRUE(WriteKeyFile(path + ".next", NewKeyPair()).ok());
  EXPECT_THAT(Message(ReadKeyFiles(path).status()), HasSubstr("listen, where the new key"));
}

TEST_F(KeyFiles, GarbageIsToldWhatAKeyFileHoldsAndIsNotShown) {
  for (const std::string text : {"garbage",
                                 "\x7f"
                                 "ELF\x02\x01",
                                 "secret = 12", "a = \"b\"", ""}) {
    const auto read = ReadKeyFile(Write("node.key", text));
    EXPECT_THAT(Message(read.status()), HasSubstr(Path("node.key"))) << text;
    EXPECT_THAT(Message(read.status()), HasSubstr("a key file holds two texts, public = ")) << text;
    EXPECT_THAT(Message(read.status()), testing::Not(HasSubstr("TOML"))) << text;
    EXPECT_THAT(Message(read.status()), testing::Not(HasSubstr("garbage"))) << text;
  }
}

// --- Changes ---

TEST_F(KeyFiles, AWatchOfKeysSeesANextPairComeAndTakeItsPlace) {
  const std::string path = Path("node.key");
  const KeyPair next = NewKeyPair();
  ASSERT_TRUE(WriteKeyFile(path, NewKeyPair()).ok());
  NodeKeysWatch watch(path);
  ASSERT_TRUE(watch.Read().ok());
  ASSERT_TRUE(WriteNextKeyFile(path, {"tcp://127.0.0.1:0", next}).ok());
  EXPECT_FALSE(watch.Look().has_value());
  auto found = watch.Look();
  ASSERT_TRUE(found.has_value() && found->ok());
  EXPECT_TRUE((*found)->next.has_value());
  ASSERT_TRUE(PromoteNextKeyFile(path).ok());
  EXPECT_FALSE(watch.Look().has_value());
  found = watch.Look();
  ASSERT_TRUE(found.has_value() && found->ok());
  EXPECT_EQ((*found)->own.public_key, next.public_key);
}

TEST_F(KeyFiles, AWatchTellsOfEveryChangeOnceItStandsStill) {
  const PublicKey a = NewKeyPair().public_key;
  const std::string path = Path("allowed");
  ASSERT_TRUE(AllowKey(path, {a, {Role::kEdge}, ""}).ok());
  AllowListWatch watch(path);
  ASSERT_TRUE(watch.Read().ok());
  EXPECT_FALSE(watch.Look().has_value());
  ASSERT_TRUE(RevokeKey(path, a).ok());
  EXPECT_FALSE(watch.Look().has_value()) << "it may not be all";
  Write("allowed", "# still\n# writing\n");
  EXPECT_FALSE(watch.Look().has_value());
  const auto changed = watch.Look();
  ASSERT_TRUE(changed.has_value() && changed->ok());
  EXPECT_FALSE((*changed)->Knows(a));
  EXPECT_FALSE(watch.Look().has_value());
}

TEST_F(KeyFiles, AWatchSaysOnceThatAListIsBrokenOrGoneAndGoesOn) {
  const std::string path = Path("allowed");
  ASSERT_TRUE(AllowKey(path, {NewKeyPair().public_key, {Role::kEdge}, ""}).ok());
  AllowListWatch watch(path);
  ASSERT_TRUE(watch.Read().ok());
  const auto twice = [&] {
    EXPECT_FALSE(watch.Look().has_value());
    return watch.Look();
  };
  Write("allowed", "nonsense");
  auto found = twice();
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(absl::IsInvalidArgument(found->status()));
  EXPECT_FALSE(twice().has_value()) << "said once";
  Write("allowed", "");
  found = twice();
  ASSERT_TRUE(found.has_value());
  EXPECT_FALSE(found->ok()) << "cut by a program that is about to write it";
  std::filesystem::remove(path);
  found = twice();
  ASSERT_TRUE(found.has_value());
  EXPECT_TRUE(absl::IsNotFound(found->status()));
  Write("allowed", "# nobody\n");
  found = twice();
  ASSERT_TRUE(found.has_value() && found->ok());
  EXPECT_TRUE((*found)->keys().empty());
}

TEST_F(KeyFiles, AWatchLooksByItself) {
  const PublicKey a = NewKeyPair().public_key;
  const std::string path = Write("allowed", "# nobody\n");
  AllowListWatch watch(path);
  ASSERT_TRUE(watch.Read().ok());
  watch.Start();
  ASSERT_TRUE(AllowKey(path, {a, {Role::kEdge}, ""}).ok());
  AllowListWatch::Found found;
  for (int i = 0; i < 1000 && !found; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    found = watch.Take();
  }
  ASSERT_TRUE(found.has_value() && found->ok());
  EXPECT_TRUE((*found)->Knows(a));
}

}  // namespace
}  // namespace mortar
