#include "cli/node_keys.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/allow_list_watch.h"
#include "cli/key_files.h"
#include "protocol/doors.h"

namespace mortar {
namespace {

absl::Status NeedsKeys(const Settings& settings) {
  for (const char* flag : {"server-key", "relay-key", "allow-list"}) {
    if (settings.Has(flag)) {
      return UsageError(settings.Where(flag) +
                        " says who others are; add --keys FILE, which says "
                        "who this node is");
    }
  }
  return absl::OkStatus();
}

// The keys that `whose` may have, by the flag; one at least.
absl::StatusOr<std::vector<PublicKey>> ReadKeysOf(const Settings& settings, const std::string& flag,
                                                  const std::string& whose) {
  std::vector<PublicKey> keys;
  for (const std::string& text : settings.Strings(flag)) {
    const auto key = ParsePublicKey(text);
    if (!key.ok()) return UsageError(settings.Where(flag) + ": " + Message(key.status()));
    keys.push_back(*key);
  }
  if (keys.size() > kServerKeysMax) {
    return UsageError(settings.Where(flag) + ": " + std::to_string(keys.size()) +
                      " keys, at most " + std::to_string(kServerKeysMax) + " are tried");
  }
  if (!keys.empty()) return keys;
  return UsageError("--keys: whoever dials with keys must know the other end's; add --" + flag +
                    " with the " + whose + "'s public key (mortar keys list shows it there)");
}

std::optional<NodeKeys> ChangedKeys(NodeKeysWatch& watch, const Logger& log) {
  NodeKeysWatch::Found found = watch.Take();
  if (!found) return std::nullopt;
  if (found->ok()) return **std::move(found);
  log.Warning("keys_unreadable", {{"why", Message(found->status())}});
  return std::nullopt;
}

// The list when it was changed.
std::optional<AllowList> Changed(AllowListWatch& watch, const Logger& log) {
  AllowListWatch::Found found = watch.Take();
  if (!found) return std::nullopt;
  if (!found->ok()) {
    log.Warning("allow_list_unreadable", {{"why", Message(found->status())}});
    return std::nullopt;
  }
  log.Info("allow_list_read", {{"keys", (*found)->keys().size()}});
  return **std::move(found);
}

}  // namespace

absl::Status ReadNodeKeys(const CommandContext& context, ZmqOptions& link) {
  const Settings& settings = context.settings;
  const auto path = settings.OptionalString("keys");
  if (!path) return NeedsKeys(settings);
  if (settings.Bool("insecure")) {
    return UsageError(settings.Where("insecure") +
                      " is for nodes without keys; leave out one of the two");
  }
  if (link.forwards) {
    const auto keys_watch = std::make_shared<NodeKeysWatch>(*path);
    ASSIGN_OR_RETURN(NodeKeys keys, keys_watch->Read());
    link.keys = std::move(keys.own);
    link.next = std::move(keys.next);
    keys_watch->Start();
    link.new_keys = [keys_watch, &log = context.log] { return ChangedKeys(*keys_watch, log); };
  } else {
    ASSIGN_OR_RETURN(link.keys, ReadKeyFile(*path));
  }
  if (!link.upstreams.empty()) {
    ASSIGN_OR_RETURN(link.server_keys, ReadKeysOf(settings, "server-key", "coordinator"));
  }
  if (!link.relay.empty()) {
    ASSIGN_OR_RETURN(link.relay_keys, ReadKeysOf(settings, "relay-key", "relay"));
  }
  if (link.listen.empty()) return absl::OkStatus();
  const auto list = settings.OptionalString("allow-list");
  if (!list) {
    return UsageError(
        "--keys: whoever listens with keys must know who may dial it; add "
        "--allow-list FILE (mortar keys allow writes one)");
  }
  const auto watch = std::make_shared<AllowListWatch>(*list);
  auto allowed = watch->Read();
  if (absl::IsNotFound(allowed.status())) {
    return NotFound(Message(allowed.status()) + "; mortar keys allow KEY --role ROLE writes one");
  }
  RETURN_IF_ERROR(allowed.status());
  link.allowed = *std::move(allowed);
  watch->Start();
  link.new_list = [watch, &log = context.log] { return Changed(*watch, log); };
  return absl::OkStatus();
}

}  // namespace mortar
