#include "common/status.h"

#include <cerrno>
#include <cstring>
#include <system_error>

namespace mortar {

absl::Status InvalidArgument(const std::string& message) {
  return absl::InvalidArgumentError(message);
}
absl::Status NotFound(const std::string& message) { return absl::NotFoundError(message); }
absl::Status OutOfRange(const std::string& message) { return absl::OutOfRangeError(message); }
absl::Status ResourceExhausted(const std::string& message) {
  return absl::ResourceExhaustedError(message);
}
absl::Status FailedPrecondition(const std::string& message) {
  return absl::FailedPreconditionError(message);
}
absl::Status Unavailable(const std::string& message) { return absl::UnavailableError(message); }
absl::Status Unimplemented(const std::string& message) { return absl::UnimplementedError(message); }
absl::Status PermissionDenied(const std::string& message) {
  return absl::PermissionDeniedError(message);
}
absl::Status DataLoss(const std::string& message) { return absl::DataLossError(message); }
absl::Status Cancelled(const std::string& message) { return absl::CancelledError(message); }

absl::Status ErrnoStatus(int error_number, const std::string& what) {
  const std::string reason = std::generic_category().message(error_number);
  return absl::Status(absl::ErrnoToStatusCode(error_number), what + ": " + reason);
}

absl::Status WithContext(const absl::Status& status, std::string_view context) {
  if (status.ok()) return status;
  return absl::Status(status.code(), std::string(context) + ": " + Message(status));
}

std::string Message(const absl::Status& status) {
  return std::string(status.message().data(), status.message().size());
}

}  // namespace mortar
