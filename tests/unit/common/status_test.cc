// Goal: a Status carries its context, and the macros return early.
#include "common/status.h"

#include <gtest/gtest.h>

#include <cerrno>

namespace mortar {
namespace {

absl::StatusOr<int> Half(int n) {
  if (n % 2 != 0) return InvalidArgument("expected an even number, got " + std::to_string(n));
  return n / 2;
}

absl::StatusOr<int> Quarter(int n) {
  ASSIGN_OR_RETURN(const int half, Half(n));
  ASSIGN_OR_RETURN(const int quarter, Half(half));
  return quarter;
}

TEST(Status, AssignOrReturnPassesValuesAndErrors) {
  EXPECT_EQ(*Quarter(8), 2);
  EXPECT_EQ(Message(Quarter(6).status()), "expected an even number, got 3");
}

TEST(Status, ContextGoesBeforeTheMessageAndKeepsTheCode) {
  const absl::Status status = WithContext(NotFound("no such key"), "model.gguf");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Message(status), "model.gguf: no such key");
  EXPECT_TRUE(WithContext(absl::OkStatus(), "model.gguf").ok());
}

TEST(Status, ErrnoBecomesItsCodeAndReason) {
  const absl::Status status = ErrnoStatus(ENOENT, "open /nowhere");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Message(status), "open /nowhere: No such file or directory");
}

}  // namespace
}  // namespace mortar
