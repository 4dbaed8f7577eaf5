#include "server/driver/broadcast.h"

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/bounds.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/codec/matrix_shapes.h"
#include "common/codec/model_step.h"
#include "server/driver/model_io.h"

namespace fedwatt {
namespace {

constexpr char kTitle[] = "fedwatt-broadcast-v1";
// A title, four lines, one for each step, and the empty rest.
constexpr size_t kMaxLines = 6 + bounds::kMaxModelSteps;
constexpr size_t kMaxLineBytes = 256;

std::string BlobText(const BlobRef& blob) {
  return absl::StrCat(DigestHex(blob.sha256), " ", blob.size);
}

absl::Status Malformed(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("not a broadcast state: ", what));
}

// The words of a line "<name> <word>...", without its name.
absl::StatusOr<std::vector<std::string>> Words(const std::string& line, const std::string& name,
                                               size_t count) {
  std::vector<std::string> words = absl::StrSplit(line, ' ');
  if (words.size() != count + 1 || words[0] != name) {
    return Malformed(absl::StrCat("no line \"", name, "\" of ", count, " values"));
  }
  words.erase(words.begin());
  return words;
}

absl::StatusOr<uint64_t> ParseCount(const std::string& word, uint64_t most) {
  uint64_t count = 0;
  if (!absl::SimpleAtoi(word, &count) || count > most) {
    return Malformed(absl::StrCat("\"", word, "\" is no number up to ", most));
  }
  return count;
}

absl::StatusOr<BlobRef> ParseBlob(const std::string& sha256, const std::string& size) {
  BlobRef blob;
  FW_ASSIGN_OR_RETURN(blob.sha256, ParseDigest(sha256));
  FW_ASSIGN_OR_RETURN(blob.size, ParseCount(size, bounds::kMaxBlobBytes));
  return blob;
}

absl::StatusOr<BlobRef> ParseBlobLine(const std::string& line, const std::string& name) {
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> words, Words(line, name, 2));
  return ParseBlob(words[0], words[1]);
}

absl::Status CheckChain(const BroadcastState& state) {
  for (size_t i = 0; i < state.steps.size(); ++i) {
    const Digest& next = i + 1 < state.steps.size() ? state.steps[i + 1].base : state.model.sha256;
    if (state.steps[i].result == next) continue;
    return Malformed(absl::StrCat("step ", i, " ends at ", DigestHex(state.steps[i].result),
                                  ", not at ", DigestHex(next)));
  }
  return absl::OkStatus();
}

// Drops the oldest steps until those left are together smaller than the whole model.
void Trim(BroadcastState* state) {
  uint64_t bytes = 0;
  size_t keep = 0;
  while (keep < std::min(state->steps.size(), bounds::kMaxModelSteps)) {
    bytes += state->steps[state->steps.size() - 1 - keep].payload.size;
    if (bytes >= state->whole.size) break;
    ++keep;
  }
  state->steps.erase(state->steps.begin(), state->steps.end() - static_cast<ptrdiff_t>(keep));
}

}  // namespace

std::vector<BlobRef> BroadcastState::Blobs() const {
  std::vector<BlobRef> blobs = {model, whole};
  for (const Step& step : steps) blobs.push_back(step.payload);
  return blobs;
}

std::string FormatBroadcastState(const BroadcastState& state) {
  std::string text =
      absl::StrCat(kTitle, "\nversion ", state.version, "\nexact ", DigestHex(state.exact),
                   "\nmodel ", BlobText(state.model), "\nwhole ", BlobText(state.whole), "\n");
  for (const BroadcastState::Step& step : state.steps) {
    absl::StrAppend(&text, "step ", DigestHex(step.base), " ", DigestHex(step.result), " ",
                    BlobText(step.payload), "\n");
  }
  return text;
}

absl::StatusOr<BroadcastState> ParseBroadcastState(const std::string& text) {
  if (text.size() > kMaxLines * kMaxLineBytes) {
    return Malformed(absl::StrCat(text.size(), " bytes"));
  }
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  if (lines[0] != kTitle) return Malformed(absl::StrCat("it does not begin with ", kTitle));
  if (lines.size() < 6 || lines.size() > kMaxLines || !lines.back().empty()) {
    return Malformed(absl::StrCat(lines.size() - 1, " whole lines"));
  }
  BroadcastState state;
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> version, Words(lines[1], "version", 1));
  FW_ASSIGN_OR_RETURN(state.version, ParseCount(version[0], UINT64_MAX));
  FW_ASSIGN_OR_RETURN(const std::vector<std::string> exact, Words(lines[2], "exact", 1));
  FW_ASSIGN_OR_RETURN(state.exact, ParseDigest(exact[0]));
  FW_ASSIGN_OR_RETURN(state.model, ParseBlobLine(lines[3], "model"));
  FW_ASSIGN_OR_RETURN(state.whole, ParseBlobLine(lines[4], "whole"));
  for (size_t i = 5; i + 1 < lines.size(); ++i) {
    FW_ASSIGN_OR_RETURN(const std::vector<std::string> words, Words(lines[i], "step", 4));
    BroadcastState::Step step;
    FW_ASSIGN_OR_RETURN(step.base, ParseDigest(words[0]));
    FW_ASSIGN_OR_RETURN(step.result, ParseDigest(words[1]));
    FW_ASSIGN_OR_RETURN(step.payload, ParseBlob(words[2], words[3]));
    state.steps.push_back(std::move(step));
  }
  FW_RETURN_IF_ERROR(CheckChain(state));
  // A state has one text only.
  if (FormatBroadcastState(state) != text) return Malformed("it is written in another way");
  return state;
}

std::vector<ModelStep> WayTo(const BroadcastState& state, const std::vector<Digest>& held) {
  const auto holds = [&held](const Digest& digest) {
    return std::find(held.begin(), held.end(), digest) != held.end();
  };
  const auto named = [](const BlobRef& payload, const Digest& base, const Digest& result) {
    ModelStep step;
    step.payload.sha256 = payload.sha256;
    step.payload.size = payload.size;
    step.base = base;
    step.result = result;
    return step;
  };
  if (holds(state.model.sha256)) return {};
  std::vector<ModelStep> way;
  uint64_t least = state.model.size;
  if (state.whole.size < least) {
    way = {named(state.whole, Digest{}, state.model.sha256)};
    least = state.whole.size;
  }
  // From the newest back: the first base that the client holds begins the shortest chain.
  uint64_t bytes = 0;
  for (size_t begin = state.steps.size(); begin-- > 0;) {
    bytes += state.steps[begin].payload.size;
    if (bytes >= least) break;
    if (!holds(state.steps[begin].base)) continue;
    way.clear();
    for (size_t i = begin; i < state.steps.size(); ++i) {
      way.push_back(named(state.steps[i].payload, state.steps[i].base, state.steps[i].result));
    }
    break;
  }
  return way;
}

std::shared_ptr<const MappedFile> Broadcast::Find(const Digest& sha256) const {
  const auto it = files.find(sha256);
  return it == files.end() ? nullptr : it->second;
}

absl::StatusOr<std::shared_ptr<const Broadcast>> OpenBroadcast(BlobStore* blobs,
                                                               BroadcastState state) {
  auto broadcast = std::make_shared<Broadcast>();
  for (const BlobRef& blob : state.Blobs()) {
    FW_ASSIGN_OR_RETURN(std::shared_ptr<const MappedFile> file, blobs->Open(blob.sha256));
    if (file->bytes().size() != blob.size) {
      return absl::DataLossError(absl::StrCat("blob ", DigestHex(blob.sha256), " has ",
                                              file->bytes().size(), " bytes, not ", blob.size));
    }
    broadcast->files[blob.sha256] = std::move(file);
  }
  broadcast->state = std::move(state);
  return std::shared_ptr<const Broadcast>(std::move(broadcast));
}

absl::StatusOr<BroadcastState> FirstBroadcast(const JobSetup& setup, const Digest& exact,
                                              ByteSpan model, BlobStore* blobs) {
  const Manifest& manifest = setup.header.manifest;
  if (model.size() != manifest.TotalBytes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a model of ", model.size(), " bytes; the manifest says ", manifest.TotalBytes()));
  }
  std::vector<float> parameters = GatherTrainable(setup.layout, model);
  const int bits = static_cast<int>(setup.spec.codec.keyframe_bits);
  FW_ASSIGN_OR_RETURN(const std::vector<float> steps, LatticeSteps(parameters, bits));
  RoundToLattice(steps, parameters);
  std::vector<uint8_t> rounded(model.begin(), model.end());
  ScatterTrainable(setup.layout, parameters, rounded);
  std::vector<float>().swap(parameters);
  FW_ASSIGN_OR_RETURN(const std::string whole,
                      EncodeWholeModel(manifest, setup.layout, rounded, steps));
  BroadcastState state;
  state.exact = exact;
  FW_ASSIGN_OR_RETURN(state.model, blobs->Put(rounded));
  FW_ASSIGN_OR_RETURN(state.whole, blobs->Put(AsBytes(whole)));
  return state;
}

absl::StatusOr<BroadcastState> NextBroadcast(const JobSetup& setup, const Broadcast& now,
                                             ExactModel exact, BlobStore* blobs) {
  const Manifest& manifest = setup.header.manifest;
  const int bits = static_cast<int>(setup.spec.codec.keyframe_bits);
  FW_ASSIGN_OR_RETURN(const std::vector<float> steps, LatticeSteps(exact.parameters, bits));
  const ByteSpan base = now.model()->bytes();
  SubtractTrainable(setup.layout, base, exact.parameters);
  const std::vector<MatrixShape> matrices = MatricesOf(manifest, setup.layout);
  CodecContext context;
  context.job = setup.id;
  context.round = exact.version;
  context.purpose = "down";
  context.seed = setup.spec.seed;
  context.matrices = matrices;
  FW_ASSIGN_OR_RETURN(
      const std::string step,
      EncodeModelStep(*setup.down, context, setup.layout, exact.parameters, steps, exact.buffers));
  std::vector<float>().swap(exact.parameters);
  FW_ASSIGN_OR_RETURN(ModelBuilder builder, ModelBuilder::Create(&manifest, &setup.layout));
  FW_RETURN_IF_ERROR(builder.StartFrom(base));
  FW_RETURN_IF_ERROR(builder.Apply(AsBytes(step)));
  FW_ASSIGN_OR_RETURN(const std::unique_ptr<BlobWriter> model, StartBlob(blobs, builder.model()));
  FW_ASSIGN_OR_RETURN(const std::string whole,
                      EncodeWholeModel(manifest, setup.layout, builder.model(), steps));
  BroadcastState state;
  state.version = exact.version;
  state.exact = exact.sha256;
  FW_ASSIGN_OR_RETURN(state.model, model->Commit());
  FW_ASSIGN_OR_RETURN(state.whole, blobs->Put(AsBytes(whole)));
  state.steps = now.state.steps;
  if (state.model.sha256 != now.state.model.sha256) {
    FW_ASSIGN_OR_RETURN(const BlobRef payload, blobs->Put(AsBytes(step)));
    state.steps.push_back({now.state.model.sha256, state.model.sha256, payload});
  }
  Trim(&state);
  return state;
}

}  // namespace fedwatt
