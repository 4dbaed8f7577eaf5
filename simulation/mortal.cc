#include "simulation/mortal.h"

#include "server/driver/blocking_write.h"

namespace fedwatt {

void MortalExecutor::Die(State* state, ManualExecutor* inner) {
  if (std::exchange(state->dead, true) || !state->on_death) return;
  inner->Post([hook = std::exchange(state->on_death, nullptr)] { hook(); });
}

void MortalExecutor::Die() { Die(state_.get(), inner_); }

Task MortalExecutor::Wrapped(Task task) {
  return [state = state_, inner = inner_, kill = kill_, task = std::move(task)]() mutable {
    if (state->dead) return;
    if (++state->tasks == kill.at_task) return Die(state.get(), inner);
    state->in_task = true;
    task();
    state->in_task = false;
  };
}

void MortalStore::Write(std::vector<StoreWrite> batch,
                        absl::AnyInvocable<void(absl::Status)> done) {
  if (executor_->dead()) return;
  ++writes_;
  if (writes_ == kill_.before_write) return executor_->Die();
  // A caller from outside may wait for its write, on the only thread there is.
  const bool waits = !executor_->in_task();
  if (waits || sync_delay_ms_ == 0) {
    return Sync(writes_, std::move(batch), waits, std::move(done));
  }
  executor_->PostAfter(sync_delay_ms_, [this, number = writes_, batch = std::move(batch),
                                        done = std::move(done)]() mutable {
    Sync(number, std::move(batch), false, std::move(done));
  });
}

void MortalStore::Sync(int number, std::vector<StoreWrite> batch, bool waits,
                       absl::AnyInvocable<void(absl::Status)> done) {
  const std::vector<StoreWrite> witnessed = witness_ ? batch : std::vector<StoreWrite>();
  const absl::Status result = WriteAndWait(disk_, std::move(batch));
  if (witness_ && result.ok()) witness_(witnessed);
  if (number == kill_.after_write) return executor_->Die();
  if (waits) return done(result);
  executor_->Post([done = std::move(done), result]() mutable { done(result); });
}

}  // namespace fedwatt
