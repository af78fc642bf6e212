// keys: this node's pair of keys, and the list of those who may dial it.
#include <filesystem>

#include "cli/commands.h"
#include "cli/json_output.h"
#include "cli/key_files.h"
#include "protocol/endpoint.h"

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
  KeyPaths paths{path("keys", "node.key"), path("allow-list", "allowed")};
  if (context.settings.Has("allow-list") || !context.settings.Has("keys")) return paths;
  // Of a node whose keys lie elsewhere, the list lies there too, as in the folder of people.
  const std::filesystem::path beside = std::filesystem::path(paths.keys).parent_path() / "allowed";
  std::error_code error;
  if (std::filesystem::is_regular_file(beside, error)) paths.list = beside.string();
  return paths;
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

// The pair that a running coordinator or relay serves beside its own.
absl::Status Next(const CommandContext& context) {
  const auto text = context.settings.OptionalString("listen");
  if (!text) {
    return UsageError(
        "keys next: add --listen tcp://A.B.C.D:PORT, another endpoint of this machine: the node "
        "serves both keys until the next one is promoted");
  }
  const auto endpoint = ParseEndpoint(*text);
  if (!endpoint.ok()) {
    return UsageError(context.settings.Where("listen") + ": " + Message(endpoint.status()));
  }
  const std::string path = PathsOf(context).keys;
  RETURN_IF_ERROR(ReadKeyFile(path).status());  // else there is nothing to be next to
  const NextKeys next{.listen = ToString(*endpoint), .keys = NewKeyPair()};
  RETURN_IF_ERROR(WriteNextKeyFile(path, next));
  const std::string public_key = ToHex(next.keys.public_key);
  if (context.settings.Bool("json")) {
    return context.console.Write(
        ToJson(KeysReport{.file = NextKeyPath(path), .public_key = public_key}));
  }
  context.console.Note("mortar: wrote " + NextKeyPath(path) + "; its public key is");
  return context.console.Write(public_key + "\n");
}

absl::Status Promote(const CommandContext& context) {
  const std::string path = PathsOf(context).keys;
  RETURN_IF_ERROR(PromoteNextKeyFile(path));
  ASSIGN_OR_RETURN(const KeyPair keys, ReadKeyFile(path));
  const std::string public_key = ToHex(keys.public_key);
  if (context.settings.Bool("json")) {
    return context.console.Write(ToJson(KeysReport{.file = path, .public_key = public_key}));
  }
  context.console.Note("mortar: " + path + " holds the next key now, the old one is gone");
  return context.console.Write(public_key + "\n");
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
  if (action != "next" && context.settings.Source("listen") == FlagSource::kCommandLine) {
    return UsageError("keys " + action + " takes no --listen");
  }
  if (action == "new") return New(context);
  if (action == "next") return Next(context);
  if (action == "promote") return Promote(context);
  if (action == "allow") return Allow(context);
  if (action == "revoke") return Revoke(context);
  return List(context);
}

}  // namespace mortar
