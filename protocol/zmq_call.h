// For the files that call ZeroMQ.
#pragma once

#include <zmq.h>

#include <cerrno>

namespace mortar {

// A signal that comes while ZeroMQ looks at its own queues ends the call, which has done nothing
// yet.
template <typename Call>
int Uninterrupted(Call call) {
  int rc = -1;
  do {
    rc = call();
  } while (rc < 0 && zmq_errno() == EINTR);
  return rc;
}

}  // namespace mortar
