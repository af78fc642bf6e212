#include "cli/node_keys.h"

#include <string>
#include <utility>

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
  if (!keys.empty()) return keys;
  return UsageError("--keys: whoever dials with keys must know the other end's; add --" + flag +
                    " with the " + whose + "'s public key (mortar keys list shows it there)");
}

}  // namespace

absl::StatusOr<NodeKeys> NodeKeys::Read(const CommandContext& context, ZmqOptions& link) {
  const Settings& settings = context.settings;
  NodeKeys node;
  const auto path = settings.OptionalString("keys");
  if (!path) {
    RETURN_IF_ERROR(NeedsKeys(settings));
    return node;
  }
  ASSIGN_OR_RETURN(link.keys, ReadKeyFile(*path));
  if (!link.upstream.empty()) {
    ASSIGN_OR_RETURN(link.server_keys, ReadKeysOf(settings, "server-key", "coordinator"));
  }
  if (!link.relay.empty()) {
    ASSIGN_OR_RETURN(link.relay_keys, ReadKeysOf(settings, "relay-key", "relay"));
  }
  if (link.listen.empty()) return node;
  const auto list = settings.OptionalString("allow-list");
  if (!list) {
    return UsageError(
        "--keys: whoever listens with keys must know who may dial it; add "
        "--allow-list FILE (mortar keys allow writes one)");
  }
  node.list_.emplace(*list);
  ASSIGN_OR_RETURN(link.allowed, node.list_->Read());
  return node;
}

void NodeKeys::Refresh(ZmqTransport& transport, Time now, const Logger& log) {
  if (!list_) return;
  auto changed = list_->Changed(now);
  if (!changed.ok()) {
    log.Warning("allow_list_unreadable", {{"why", Message(changed.status())}});
  } else if (*changed) {
    log.Info("allow_list_read", {{"keys", (*changed)->keys().size()}});
    transport.Allow(**std::move(changed));
  }
}

}  // namespace mortar
