#pragma once

// Limits on everything a peer, a file or a user can make large. A value from outside is compared
// with its bound before anything is allocated for it. Each has the reason for its size.

#include <cstddef>
#include <cstdint>

namespace fedwatt::bounds {

// Tensors of one model. The largest public models have a few thousand.
inline constexpr size_t kMaxTensors = 65'536;

// Dimensions of one tensor. Video convolutions use 5.
inline constexpr size_t kMaxDims = 8;

// Elements of one model: the largest index that float64 and the wire's int64 byte offsets carry
// without care (2^40 float32 values are 4 TiB).
inline constexpr uint64_t kMaxElements = uint64_t{1} << 40;

// Models and updates up to this size travel inside the check-in and report messages, which saves
// two round trips; more would delay other calls on the same connection.
inline constexpr size_t kMaxInlineBytes = 256 * 1024;

// One piece of a streamed blob: large enough for full loopback speed, small enough that a slow
// phone makes progress that counts.
inline constexpr size_t kChunkBytes = 1024 * 1024;

// A received gRPC message: one chunk with its envelope. Anything larger is refused unread.
inline constexpr size_t kMaxMessageBytes = 4 * 1024 * 1024;

// A model or update in transit. 64 GiB is a 16 G-parameter model in float32.
inline constexpr uint64_t kMaxBlobBytes = uint64_t{64} << 30;

// Job, client, assignment and tenant ids: a UUID is 36, a SHA-256 in hex 64.
inline constexpr size_t kMaxIdLength = 128;

// Names chosen by people or by frameworks: tensors, datasets, metrics, labels.
inline constexpr size_t kMaxNameLength = 256;

// Error texts that a peer may send us.
inline constexpr size_t kMaxReasonLength = 1024;

// Examples behind one update: 2^30 is more than one device holds, and bounds the fixed-point scale.
inline constexpr uint64_t kMaxWeight = uint64_t{1} << 30;

// Reports that one round may wait for. Enters the fixed-point scale, as the weight does.
inline constexpr uint64_t kMaxReports = uint64_t{1} << 20;

// User-defined metric values in one report.
inline constexpr size_t kMaxMetrics = 64;

// Energy samples in one report: a meter for each phase and scope.
inline constexpr size_t kMaxEnergySamples = 64;

// Capabilities, labels and datasets in one check-in.
inline constexpr size_t kMaxOffers = 64;

// Steps from a model that a client holds to the one it needs: a longer way is never the smaller.
inline constexpr size_t kMaxModelSteps = 64;

// Models that a client says it holds.
inline constexpr size_t kMaxHeldModels = 16;

// A job file or a certificate: people write them, or a tool with their size.
inline constexpr uint64_t kMaxConfigBytes = 1024 * 1024;

}  // namespace fedwatt::bounds
