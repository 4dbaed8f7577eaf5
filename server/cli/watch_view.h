#pragma once

#include <cstdint>
#include <optional>
#include <ostream>
#include <string>

#include "common/base/clock.h"
#include "fedwatt/v1/admin_service.pb.h"

// Shows a job while it runs: a line per finished round, and on a terminal a last line that is
// rewritten in place. With JSON: one object per event and line. One thread.
namespace fedwatt::cli {

class WatchView {
 public:
  struct Options {
    bool json = false;
    bool live = false;      // a terminal that understands carriage return and erase-line
    uint16_t columns = 80;  // of the live line
  };
  WatchView(std::ostream& out, const Clock* clock, Options options);

  void OnEvent(const v1::JobEvent& event);
  // "lost the coordinator, trying again ..." and the like.
  void Note(const std::string& text);
  // Leaves a clean line behind. Call once at the end.
  void Finish();

  const v1::Job& last() const { return last_; }

 private:
  void OnRound(const v1::RoundSummary& round);
  void PrintLine(const std::string& line);
  void DrawLive();
  void EraseLive();

  std::ostream& out_;
  const Clock* const clock_;
  const Options options_;
  v1::Job last_;
  std::optional<int64_t> started_ms_;
  bool live_drawn_ = false;
};

}  // namespace fedwatt::cli
