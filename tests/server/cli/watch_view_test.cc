#include "server/cli/watch_view.h"

#include <sstream>

#include "common/base/fake_clock.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace fedwatt::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

class WatchViewTest : public testing::Test {
 protected:
  void Feed(WatchView& view, const std::string& text) {
    v1::JobEvent event;
    ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &event)) << text;
    view.OnEvent(event);
  }
  std::string Taken() {
    const std::string text = out_.str();
    out_.str("");
    return text;
  }

  std::ostringstream out_;
  FakeClock clock_;
};

constexpr char kJob[] =
    "job { state: JOB_STATE_RUNNING rounds_done: 1 "
    "spec { rounds: 4 evaluation { every: 2 } } current { key { round: 2 } phase: 'selecting' } } ";

TEST_F(WatchViewTest, ARoundIsALineOnceItHasEnded) {
  WatchView view(out_, &clock_, {});
  Feed(view, kJob);
  EXPECT_EQ(Taken(), "");
  Feed(view, std::string(kJob) +
                 "committed { key { round: 2 } phase: 'committed' evaluation { accuracy: 0.5 } }");
  EXPECT_THAT(Taken(), StartsWith("round 2/4  committed  0/0 reports  accuracy 50.0 %"));
}

TEST_F(WatchViewTest, AfterTheLastRoundNoTimeIsLeft) {
  WatchView view(out_, &clock_, {});
  Feed(view, kJob);
  clock_.AdvanceMs(4000);
  Feed(view, std::string(kJob) + "committed { key { round: 2 } phase: 'committed' }");
  EXPECT_THAT(Taken(), HasSubstr("left 4.0 s"));
  Feed(view, std::string(kJob) + "committed { key { round: 4 } phase: 'committed' }");
  EXPECT_THAT(Taken(), Not(HasSubstr("left")));
}

TEST_F(WatchViewTest, ARoundThatCouldNotBeEvaluatedSaysWhy) {
  WatchView view(out_, &clock_, {});
  Feed(view, std::string(kJob) +
                 "committed { key { round: 1 } phase: 'committed' reason: 'not evaluated: nobody' "
                 "train_after { loss: 1 } }");
  EXPECT_THAT(Taken(), HasSubstr("(on clients' own data)  (not evaluated: nobody)"));
}

TEST_F(WatchViewTest, ATerminalHasALineThatIsRewrittenAndFitsIt) {
  WatchView view(out_, &clock_, {.live = true, .columns = 20});
  Feed(view, kJob);
  EXPECT_EQ(Taken().size(), 19u);
  Feed(view, std::string(kJob) + "committed { key { round: 1 } phase: 'committed' }");
  EXPECT_THAT(Taken(), StartsWith("\r\x1b[2Kround 1/4"));
  view.Finish();
  EXPECT_THAT(Taken(), HasSubstr("\r\x1b[2K"));
}

TEST_F(WatchViewTest, APipeSeesNoControlCharacters) {
  WatchView view(out_, &clock_, {});
  Feed(view, std::string(kJob) + "committed { key { round: 1 } phase: 'committed' }");
  view.Note("the coordinator is away");
  view.Finish();
  EXPECT_THAT(Taken(), Not(HasSubstr("\x1b")));
}

TEST_F(WatchViewTest, JsonIsOneObjectALine) {
  WatchView view(out_, &clock_, {.json = true});
  Feed(view, std::string(kJob) + "sequence: 7");
  view.Note("not shown");
  view.Finish();
  const auto parsed = nlohmann::json::parse(Taken());
  EXPECT_EQ(parsed["sequence"], 7);
  EXPECT_EQ(parsed["job"]["state"], "running");
}

}  // namespace
}  // namespace fedwatt::cli
