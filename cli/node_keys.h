// What a node's flags say of keys: --keys, --server-key, --relay-key, --allow-list. Without them
// its links are not encrypted, and stay on this machine unless --insecure lifts that.
#pragma once

#include "cli/commands.h"
#include "common/status.h"
#include "protocol/zmq_transport.h"

namespace mortar {

// Reads the files and sets keys, server_keys, relay_keys, allowed and new_list of `link`, whose
// `listen`, `upstreams` and `relay` are set already: whoever listens needs an allow-list, whoever
// dials the keys of those he dials. A list that cannot be read any more later is left, with a
// warning; the old one holds. The same of the keys of a node that forwards, which may change while
// it runs. UsageError when one of the flags is missing or stands alone. The
// context's log outlives the link.
absl::Status ReadNodeKeys(const CommandContext& context, ZmqOptions& link);

}  // namespace mortar
