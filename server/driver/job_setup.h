#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/codec/codec.h"
#include "common/model/bundle_header.h"
#include "common/model/manifest.h"
#include "server/driver/codec_policy.h"
#include "server/driver/matching.h"
#include "server/driver/plugins.h"
#include "server/store/blob_store.h"
#include "server/store/store.h"

// What stays the same over a job's life, derived from its record.
namespace fedwatt {

// Immutable, shared between threads.
struct JobSetup {
  std::string id;
  JobSpec spec;
  BundleHeader header;
  BlobRef bundle;  // the bundle file without tensors
  std::shared_ptr<const MappedFile> bundle_file;
  UpdateLayout layout;
  std::shared_ptr<const Codec> down;  // of steps between models; null: they travel exact
  std::vector<std::shared_ptr<const UploadCodec>> upload_codecs;  // codec_policy.h
  std::optional<double> unbiased_clip;                            // Selector::UnbiasedClip
  bool wants_sketches = false;                                    // Selector::WantsSketches
  Need training;
  Need evaluation;

  const Need& need(bool of_evaluation) const { return of_evaluation ? evaluation : training; }
  // Clients that one attempt may have: N of law 5.
  uint32_t MaxReports() const;
  AggregatorConfig Aggregation() const;
  RoundLimits Limits(bool of_evaluation) const;
  // Of an assignment of before, which may have another than jobs get now; as MakeCodec.
  absl::StatusOr<std::shared_ptr<const UploadCodec>> FindUploadCodec(const std::string& text) const;
};

// NOT_FOUND: the bundle's blob or a codec. INVALID_ARGUMENT: spec and model do not fit; every
// plug-in is made once to see that it takes its parameters.
absl::StatusOr<std::shared_ptr<const JobSetup>> MakeJobSetup(const std::string& id,
                                                             const JobSpec& spec,
                                                             const Digest& bundle, BlobStore* blobs,
                                                             const Plugins& plugins);

}  // namespace fedwatt
