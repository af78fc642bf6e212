// keys: this node's pair of keys, and the list of those who may dial it.
#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/key_files.h"

namespace mortar {
namespace {

struct KeyPaths {
  std::string keys;
  std::string list;
};

KeyPaths PathsOf(const CommandContext& context) {
  const auto path = [&](const char* flag, const char* name) {
    return context.settings.OptionalString(flag).value_or(ConfigPath(context.environment, name));
  };
  return {path("keys", "node.key"), path("allow-list", "allowed")};
}

absl::StatusOr<PublicKey> ReadKey(const Settings& settings) {
  const auto text = settings.OptionalString("key");
  if (!text) return UsageError("give the public key, as mortar keys new printed it");
  auto key = ParsePublicKey(*text);
  if (!key.ok()) return UsageError(Message(key.status()));
  return key;
}

absl::StatusOr<std::vector<Role>> ReadRoles(const Settings& settings) {
  std::vector<Role> roles;
  for (const std::string& words : settings.Strings("role")) {
    for (const std::string& word : SplitCommas(words)) {
      const std::optional<Role> role = AllowedRoleOf(word);
      if (!role) {
        return UsageError(settings.Where("role") + ": \"" + word +
                          "\" is no role; give worker, edge or relay");
      }
      roles.push_back(*role);
    }
  }
  if (!roles.empty()) return roles;
  return UsageError("--role: say as what this key may join; give worker, edge or relay");
}

// Without the characters that end a line, and blanks at its ends.
absl::StatusOr<std::string> ReadName(const Settings& settings) {
  std::string name = settings.OptionalString("name").value_or("");
  if (name.size() > kNameBytesMax || OneLine(name) != name) {
    return UsageError(settings.Where("name") + ": words in one line of at most " +
                      std::to_string(kNameBytesMax) + " bytes");
  }
  return name;
}

absl::Status New(const CommandContext& context) {
  const std::string path = PathsOf(context).keys;
  const KeyPair keys = NewKeyPair();
  RETURN_IF_ERROR(WriteKeyFile(path, keys));
  if (context.settings.Bool("json")) {
    return context.console.Write(
        ToJson(KeysReport{.file = path, .public_key = ToHex(keys.public_key)}));
  }
  context.console.Note("mortar: wrote " + path + "; its public key is");
  return context.console.Write(ToHex(keys.public_key) + "\n");
}

// With --json the list as it is now; a person is told nothing where all is well.
absl::Status WriteList(const CommandContext& context, const std::string& path) {
  if (!context.settings.Bool("json")) return absl::OkStatus();
  KeysReport report{.list = path};
  ASSIGN_OR_RETURN(const AllowList list, ReadAllowList(path));
  report.allowed = list.keys();
  return context.console.Write(ToJson(report));
}

absl::Status Allow(const CommandContext& context) {
  AllowedKey allowed;
  ASSIGN_OR_RETURN(allowed.key, ReadKey(context.settings));
  ASSIGN_OR_RETURN(allowed.roles, ReadRoles(context.settings));
  ASSIGN_OR_RETURN(allowed.name, ReadName(context.settings));
  const std::string path = PathsOf(context).list;
  RETURN_IF_ERROR(AllowKey(path, allowed));
  return WriteList(context, path);
}

absl::Status Revoke(const CommandContext& context) {
  ASSIGN_OR_RETURN(const PublicKey key, ReadKey(context.settings));
  const std::string path = PathsOf(context).list;
  RETURN_IF_ERROR(RevokeKey(path, key));
  return WriteList(context, path);
}

absl::Status List(const CommandContext& context) {
  const KeyPaths paths = PathsOf(context);
  KeysReport report{.file = paths.keys, .list = paths.list};
  auto keys = ReadKeyFile(paths.keys);
  if (keys.ok()) {
    report.public_key = ToHex(keys->public_key);
  } else if (!absl::IsNotFound(keys.status()) || context.settings.Has("keys")) {
    return keys.status();
  }
  auto allowed = ReadAllowList(paths.list);
  if (allowed.ok()) {
    report.allowed = allowed->keys();
  } else if (!absl::IsNotFound(allowed.status()) || context.settings.Has("allow-list")) {
    return allowed.status();
  }
  if (context.settings.Bool("json")) return context.console.Write(ToJson(report));
  std::string text =
      "this node: " + (report.public_key.empty() ? "no keys at " + paths.keys : report.public_key) +
      "\n";
  for (const AllowedKey& key : report.allowed) text += OneLine(LineOf(key)) + "\n";
  return context.console.Write(text);
}

}  // namespace

absl::Status KeysCommand(const CommandContext& context) {
  const std::string& action = context.settings.String("action");
  const bool about_one = action == "allow" || action == "revoke";
  if (!about_one && context.settings.Has("key")) {
    return UsageError("keys " + action + " takes no public key");
  }
  if (action == "new") return New(context);
  if (action == "allow") return Allow(context);
  if (action == "revoke") return Revoke(context);
  return List(context);
}

}  // namespace mortar
