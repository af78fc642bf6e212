// Errors of the outside world: absl::Status everywhere a file, a peer, a request or a
// limit can say no. A message says what was expected, what came, and where.
//
// Debian's Abseil has a string_view of its own, so absl's functions take std::string here
// and the conversions stay in status.cc.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mortar {

absl::Status InvalidArgument(const std::string& message);
absl::Status NotFound(const std::string& message);
absl::Status OutOfRange(const std::string& message);
absl::Status ResourceExhausted(const std::string& message);
absl::Status FailedPrecondition(const std::string& message);
absl::Status Unavailable(const std::string& message);
absl::Status Unimplemented(const std::string& message);
absl::Status PermissionDenied(const std::string& message);
absl::Status DataLoss(const std::string& message);
absl::Status Cancelled(const std::string& message);

// The status of errno value `error_number` for an operation on `what` ("open /a/b").
absl::Status ErrnoStatus(int error_number, const std::string& what);

// The same status with "context: " before its message; OK stays OK.
absl::Status WithContext(const absl::Status& status, std::string_view context);

// The message alone, as std::string.
std::string Message(const absl::Status& status);

}  // namespace mortar

#define MORTAR_CONCAT_INNER(a, b) a##b
#define MORTAR_CONCAT(a, b) MORTAR_CONCAT_INNER(a, b)

// Returns from the calling function when `expr` is not OK.
#define RETURN_IF_ERROR(expr)                                         \
  do {                                                                \
    if (absl::Status status_ = (expr); !status_.ok()) return status_; \
  } while (false)

// `ASSIGN_OR_RETURN(auto x, F())`: x = value of F(), or returns its status.
#define ASSIGN_OR_RETURN(lhs, expr) \
  MORTAR_ASSIGN_OR_RETURN(MORTAR_CONCAT(statusor_, __LINE__), lhs, expr)
#define MORTAR_ASSIGN_OR_RETURN(statusor, lhs, expr) \
  auto statusor = (expr);                            \
  if (!statusor.ok()) return statusor.status();      \
  lhs = std::move(statusor).value()
