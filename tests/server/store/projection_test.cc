#include "server/store/projection.h"

#include <gtest/gtest.h>

#include "tests/server/store/records.h"

namespace fedwatt {
namespace {

// What follows from records is in store_conformance_test.cc, over every store.

TEST(ParseAssignmentId, IsTheInverseOfMakeAssignmentId) {
  for (const RoundKey& key : {Train(1), Train(12, 3, "my-job-7"), Evaluate(18446744073709551615u),
                              Train(1, 4294967295u, "a/b")}) {
    const auto parsed = ParseAssignmentId(MakeAssignmentId(key, 42));
    ASSERT_TRUE(parsed.has_value()) << key.ToString();
    EXPECT_EQ(parsed->first, key);
    EXPECT_EQ(parsed->second, 42u);
  }
}

TEST(ParseAssignmentId, TakesOneSpellingOnly) {
  for (const char* id : {"", "/", "///", "job", "job/r1/a1", "job/r1/a1/", "job/r01/a1/0",
                         "job/r1/a1/00", "job/r1/b1/0", "job/q1/a1/0", "job/r1/a1/+0",
                         "job/r1/a1/ 0", "job/r1/a4294967296/0", "job//a1/0"}) {
    EXPECT_FALSE(ParseAssignmentId(id).has_value()) << id;
  }
}

}  // namespace
}  // namespace fedwatt
