// The question that ZeroMQ asks of each connection that proved its key: may it come in? (ZAP,
// ZeroMQ RFC 27.) It is asked within one context, over a socket that the loop of the node reads:
// no thread beside it, and nothing shared.
#pragma once

#include <functional>
#include <memory>

#include "common/status.h"
#include "protocol/keys.h"

namespace mortar {

class ZmqContext;

// Used by one thread.
class ZmqGate {
 public:
  // One in a context, before its first socket listens with keys: without one ZeroMQ lets everybody
  // in, with a key and without a name. Goes before the context.
  static absl::StatusOr<std::unique_ptr<ZmqGate>> Create(ZmqContext& context);
  ~ZmqGate();
  ZmqGate(const ZmqGate&) = delete;
  ZmqGate& operator=(const ZmqGate&) = delete;

  // Answers all that wait. Who is let in is named by his key from then on, by ZeroMQ itself, on
  // every message (the property User-Id); who is not learns that his key is not allowed.
  void Answer(const std::function<bool(const PublicKey&)>& allowed);

  void* handle() const { return handle_; }  // readable when somebody asks

 private:
  explicit ZmqGate(void* handle) : handle_(handle) {}
  void* handle_;
};

}  // namespace mortar
