#include "server/cli/watch_view.h"

#include "common/wire/message_json.h"
#include "server/cli/job_text.h"

namespace fedwatt::cli {
WatchView::WatchView(std::ostream& out, const Clock* clock, Options options)
    : out_(out), clock_(clock), options_(options) {}

void WatchView::OnEvent(const v1::JobEvent& event) {
  if (options_.json) {
    out_ << wire::MessageToJson(event, -1) << std::endl;
    last_ = event.job();
    return;
  }
  last_ = event.job();
  if (!started_ms_) started_ms_ = clock_->NowMs();
  if (event.has_committed()) OnRound(event.committed());
  DrawLive();
}

void WatchView::OnRound(const v1::RoundSummary& round) {
  // The snapshot beside a round may be older than the round.
  if (round.phase() == "committed") last_.set_rounds_done(round.key().round());
  const auto left = TimeLeftMs(last_, *started_ms_, clock_->NowMs());
  PrintLine(RoundLine(round, last_.spec().rounds(), left));
}

void WatchView::Note(const std::string& text) {
  if (!options_.json) PrintLine(text);
}

void WatchView::Finish() {
  EraseLive();
  out_.flush();
}

void WatchView::PrintLine(const std::string& line) {
  EraseLive();
  out_ << line << std::endl;
}

void WatchView::DrawLive() {
  if (!options_.live || last_.state() != v1::JOB_STATE_RUNNING) return;
  if (last_.current().phase() == "idle") return EraseLive();
  EraseLive();
  std::string line = StatusLine(last_, TimeLeftMs(last_, *started_ms_, clock_->NowMs()));
  if (line.size() >= options_.columns) line.resize(options_.columns > 1 ? options_.columns - 1 : 1);
  out_ << line << std::flush;
  live_drawn_ = true;
}

void WatchView::EraseLive() {
  if (!live_drawn_) return;
  out_ << "\r\x1b[2K" << std::flush;
  live_drawn_ = false;
}

}  // namespace fedwatt::cli
