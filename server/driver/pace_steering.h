#pragma once

#include <cstdint>
#include <string>

// When a device that got no work should ask again.
namespace fedwatt {

enum class PaceReason {
  kWanted,   // a job lacks clients like this one: come back soon
  kWaiting,  // jobs have clients enough for now
  kNoMatch   // no job could ever use it
};

// `base_ms` scaled by the reason, give or take a quarter: the jitter spreads a fleet that was
// rejected at once. It is a function of (client, nth), so that a simulation replays.
int64_t RetryAfterMs(int64_t base_ms, PaceReason reason, const std::string& client, uint64_t nth);

// For a client that waited `poll_ms` in vain while more than `enough` wait: how long all `known`
// clients should stay away so that about `enough` of them wait at any time. From `base_ms` to an
// hour. A fleet of a million that asked every few seconds would keep itself and the coordinator
// busy with nothing.
int64_t CrowdPaceMs(int64_t base_ms, int64_t poll_ms, uint64_t known, uint64_t enough);

}  // namespace fedwatt
