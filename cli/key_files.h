// Keys on disk: a node's own pair, and the list of those who may dial it (protocol/allow_list.h).
// `mortar keys` writes both, nodes read them.
#pragma once

#include <string>

#include "cli/settings.h"
#include "common/status.h"
#include "protocol/allow_list.h"
#include "protocol/keys.h"
#include "protocol/zmq_transport.h"

namespace mortar {

// ${XDG_CONFIG_HOME:-~/.config}/mortar/NAME.
std::string ConfigPath(const Environment& environment, const std::string& name);

// TOML with `public` and `secret`, 64 hexadecimal digits each, and perhaps `listen`, which was for
// the time before the pair was this node's own (NextKeyPath). Every error names the file: it is
// not there, other users may read it, it holds anything else, or the two do not belong together.
absl::StatusOr<KeyPair> ReadKeyFile(const std::string& path);
// A new file that its owner alone may read, with the folders before it. AlreadyExists when there is
// one: a key that is overwritten is lost.
absl::Status WriteKeyFile(const std::string& path, const KeyPair& keys);

// FILE.next: the pair that this node is about to take on, and where it listens with it until then.
std::string NextKeyPath(const std::string& path);
// Makes it. AlreadyExists: there is one, which nodes may know already.
absl::Status WriteNextKeyFile(const std::string& path, const NextKeys& next);
// FILE.next becomes FILE, at once; the old secret is gone. NotFound: there is none.
absl::Status PromoteNextKeyFile(const std::string& path);
// FILE, and FILE.next where there is one. Errors as ReadKeyFile; FILE.next also has an endpoint.
absl::StatusOr<NodeKeys> ReadKeyFiles(const std::string& path);

// Every error names the file: it is not there, others than its owner may write it, or it is no
// list. An empty file is none: it may be about to be written. A remark allows nobody on purpose.
absl::StatusOr<AllowList> ReadAllowList(const std::string& path);
// Puts the line of a key into the list, or in the place of its old one; makes the file when there
// is none. Whoever reads meanwhile sees the old list or the new one; two who write wait for one
// another.
absl::Status AllowKey(const std::string& given, const AllowedKey& key);
// NotFound when the key is not on the list.
absl::Status RevokeKey(const std::string& given, const PublicKey& key);

}  // namespace mortar
