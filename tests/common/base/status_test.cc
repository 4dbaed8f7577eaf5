#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"

namespace fedwatt {
namespace {

absl::Status Twice(const absl::Status& first, const absl::Status& second, int* passed) {
  FW_RETURN_IF_ERROR(first);
  ++*passed;
  FW_RETURN_IF_ERROR(second);
  ++*passed;
  return absl::OkStatus();
}

TEST(ReturnIfError, StopsAtTheFirstError) {
  int passed = 0;
  EXPECT_EQ(Twice(absl::OkStatus(), absl::NotFoundError("b"), &passed), absl::NotFoundError("b"));
  EXPECT_EQ(passed, 1);
  EXPECT_TRUE(Twice(absl::OkStatus(), absl::OkStatus(), &passed).ok());
  EXPECT_EQ(passed, 3);
}

absl::StatusOr<int> Sum(const absl::StatusOr<int>& a, absl::StatusOr<std::unique_ptr<int>> b) {
  FW_ASSIGN_OR_RETURN(const int first, a);
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<int> second, std::move(b));
  return first + *second;
}

TEST(AssignOrReturn, TakesValuesAlsoOfMoveOnlyTypes) {
  EXPECT_EQ(*Sum(1, std::make_unique<int>(2)), 3);
  EXPECT_EQ(Sum(absl::AbortedError("a"), std::make_unique<int>(2)).status(),
            absl::AbortedError("a"));
  EXPECT_EQ(Sum(1, absl::AbortedError("b")).status(), absl::AbortedError("b"));
}

TEST(Annotate, KeepsCodeAndPayload) {
  absl::Status status = absl::NotFoundError("no such key");
  status.SetPayload("fedwatt/retry", absl::Cord("7"));
  const absl::Status annotated = Annotate(status, "job.toml");
  EXPECT_EQ(annotated.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(std::string(annotated.message()), "job.toml: no such key");
  EXPECT_EQ(annotated.GetPayload("fedwatt/retry"), absl::Cord("7"));
}

TEST(Annotate, LeavesOkAlone) { EXPECT_TRUE(Annotate(absl::OkStatus(), "x").ok()); }

TEST(StatusText, NamesTheCode) {
  EXPECT_EQ(StatusText(absl::NotFoundError("gone")), "NOT_FOUND: gone");
  EXPECT_EQ(StatusText(absl::OkStatus()), "OK");
}

}  // namespace
}  // namespace fedwatt
