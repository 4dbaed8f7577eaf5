#include "simulation/trace.h"

#include <gmock/gmock.h>

#include "common/base/file.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

TraceRecord Committed() {
  TraceRecord record;
  record.at_ms = 61'500;
  record.kind = TraceKind::kCommitted;
  SetKey({.job = "job", .round = 3, .attempt = 2}, &record);
  record.value = -7;
  record.digest = ShortDigestOf("model");
  return record;
}

TEST(Trace, AFileGivesBackItsRecordsAndTheHashIsOfThem) {
  const TempDir dir;
  const std::string path = dir.File("trace");
  auto trace = Trace::Create(path, nullptr);
  ASSERT_TRUE(trace.ok());
  TraceRecord wake;
  wake.at_ms = 5;
  wake.device = 9;
  (*trace)->Add(wake);
  (*trace)->Add(Committed());
  const auto hash = (*trace)->Finish();
  ASSERT_TRUE(hash.ok());
  const auto records = ReadTrace(path);
  ASSERT_TRUE(records.ok()) << records.status();
  ASSERT_EQ(records->size(), 2U);
  EXPECT_EQ((*records)[0].device, 9U);
  EXPECT_EQ((*records)[1].ToString(0), Committed().ToString(0));
  const std::string bytes = *ReadFile(path, 1 << 20);
  EXPECT_EQ(*hash, Sha256Of(AsBytes(bytes.substr(8))));
}

TEST(Trace, ACutFileIsRefused) {
  const TempDir dir;
  const std::string path = dir.File("trace");
  ASSERT_TRUE(WriteFileAtomic(path, "FWTRACE1 and no record").ok());
  EXPECT_EQ(ReadTrace(path).status().code(), absl::StatusCode::kDataLoss);
}

TEST(Trace, TextNamesWhatHappenedWhenAndInWhichRound) {
  const std::string text = Committed().ToString(1'500);
  EXPECT_THAT(text, HasSubstr("60.000 s"));
  EXPECT_THAT(text, HasSubstr("committed"));
  EXPECT_THAT(text, HasSubstr("round 3 attempt 2"));
}

}  // namespace
}  // namespace fedwatt
