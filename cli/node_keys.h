// What a node's flags say of keys: --keys, --server-key, --relay-key, --allow-list. Without them
// its links are not encrypted, and stay on this machine unless --insecure lifts that.
#pragma once

#include <optional>

#include "cli/commands.h"
#include "cli/key_files.h"
#include "common/log.h"
#include "common/status.h"
#include "protocol/zmq_transport.h"

namespace mortar {

class NodeKeys {
 public:
  // Reads the files and sets keys, server_keys, relay_keys and allowed of `link`, whose `listen`,
  // `upstream` and `relay` are set already: whoever listens needs an allow-list, whoever dials the
  // keys of those he dials.
  // UsageError when one of the flags is missing or stands alone.
  static absl::StatusOr<NodeKeys> Read(const CommandContext& context, ZmqOptions& link);

  // When the allow-list was changed, the transport has the new one. A list that cannot be read any
  // more is left, with a warning; the old one holds.
  void Refresh(ZmqTransport& transport, Time now, const Logger& log);

 private:
  std::optional<AllowListWatch> list_;
};

}  // namespace mortar
