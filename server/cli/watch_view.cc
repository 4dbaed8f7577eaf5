#include "server/cli/watch_view.h"

#include "common/wire/message_json.h"
#include "server/cli/job_text.h"

namespace fedwatt::cli {
namespace {

bool IsEvaluated(const v1::Job& job, uint64_t round) {
  const uint32_t every = job.spec().evaluation().every();
  return every > 0 && (round % every == 0 || round == job.spec().rounds());
}

}  // namespace

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
  const bool evaluation = round.key().evaluation();
  if (evaluation && pending_ && pending_->key().round() == round.key().round()) {
    const v1::MetricSummary& metrics =
        round.has_evaluation() ? round.evaluation() : round.train_after();
    if (round.phase() == "committed") *pending_->mutable_evaluation() = metrics;
    PrintPending();
    if (round.phase() != "committed") PrintLine("  evaluation " + round.phase() + ": " + round.reason());
    return;
  }
  PrintPending();
  if (evaluation) return;
  pending_ = round;
  const bool waits = round.phase() == "committed" && !round.has_evaluation() &&
                     IsEvaluated(last_, round.key().round());
  if (!waits) PrintPending();
}

void WatchView::PrintPending() {
  if (!pending_) return;
  const auto left = TimeLeftMs(last_, *started_ms_, clock_->NowMs());
  PrintLine(RoundLine(*pending_, last_.spec().rounds(), left));
  pending_.reset();
}

void WatchView::Note(const std::string& text) {
  if (!options_.json) PrintLine(text);
}

void WatchView::Finish() {
  PrintPending();
  EraseLive();
  out_.flush();
}

void WatchView::PrintLine(const std::string& line) {
  EraseLive();
  out_ << line << std::endl;
}

void WatchView::DrawLive() {
  if (!options_.live || last_.state() != v1::JOB_STATE_RUNNING) return;
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
