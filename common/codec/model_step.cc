#include "common/codec/model_step.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <new>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/bounds.h"
#include "common/base/bytes.h"
#include "common/base/large_memory.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/codec/layout_walker.h"
#include "common/codec/symbol_coder.h"
#include "common/codec/symbol_kernels.h"
#include "common/codec/varint.h"
#include "common/codec/zstd_section.h"

namespace fedwatt {
namespace {

constexpr std::array<uint8_t, 4> kMagic = {'F', 'W', 'M', 1};  // the last one is the version
constexpr char kWhole = 'w';
constexpr char kStep = 's';

constexpr uint64_t kGroup = uint64_t{1} << 18;  // coordinates of a symbol stream
constexpr uint64_t kPart = 16 * kLatticeBlock;  // coordinates that are decoded and rounded at once
constexpr size_t kSinkBytes = kPart * sizeof(float);
static_assert(kGroup <= kMaxSymbolsPerStream && kGroup % kPart == 0);

absl::Status Malformed(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("model payload: ", why));
}

std::span<const float> StepsFrom(std::span<const float> steps, uint64_t coordinate) {
  return steps.subspan(coordinate / kLatticeBlock);
}

std::string Header(char kind, uint64_t coordinates, uint64_t other_bytes) {
  std::string out(kMagic.begin(), kMagic.end());
  out.push_back(kind);
  AppendVarint(coordinates, &out);
  AppendVarint(other_bytes, &out);
  return out;
}

// The two bytes that a bfloat16 keeps of a float32, the upper ones first: they compress best so.
absl::Status AppendSteps(std::span<const float> steps, std::string* out) {
  std::vector<uint8_t> planes(2 * steps.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    const auto bits = std::bit_cast<uint32_t>(steps[i]);
    planes[i] = static_cast<uint8_t>(bits >> 24);
    planes[steps.size() + i] = static_cast<uint8_t>(bits >> 16);
  }
  const std::span<const uint8_t> whole[] = {planes};
  return AppendZstdSection(whole, out);
}

absl::StatusOr<std::vector<float>> TakeSteps(std::span<const uint8_t>* payload,
                                             uint64_t coordinates) {
  std::vector<float> steps(LatticeBlocks(coordinates));
  std::vector<uint8_t> planes(2 * steps.size());
  const std::span<uint8_t> whole[] = {planes};
  FW_RETURN_IF_ERROR(TakeZstdSection(payload, whole));
  for (size_t i = 0; i < steps.size(); ++i) {
    steps[i] =
        std::bit_cast<float>(uint32_t{planes[i]} << 24 | uint32_t{planes[steps.size() + i]} << 16);
  }
  FW_RETURN_IF_ERROR(CheckLatticeSteps(steps, coordinates));
  return steps;
}

uint64_t OtherBytes(const Manifest& manifest, const UpdateLayout& layout) {
  return manifest.TotalBytes() - layout.coordinates * sizeof(float);
}

// Returns the kind. `payload` begins behind the header then.
absl::StatusOr<char> TakeHeader(const Manifest& manifest, const UpdateLayout& layout,
                                std::span<const uint8_t>* payload) {
  if (payload->size() <= kMagic.size() ||
      !std::equal(kMagic.begin(), kMagic.end(), payload->begin())) {
    return Malformed("it does not begin as one, or is of a later version");
  }
  const char kind = static_cast<char>((*payload)[kMagic.size()]);
  if (kind != kWhole && kind != kStep) return Malformed("neither a whole model nor a step");
  *payload = payload->subspan(kMagic.size() + 1);
  FW_ASSIGN_OR_RETURN(const uint64_t coordinates, TakeVarint(payload));
  FW_ASSIGN_OR_RETURN(const uint64_t other_bytes, TakeVarint(payload));
  const uint64_t expected = kind == kWhole ? OtherBytes(manifest, layout) : layout.buffer_bytes;
  if (coordinates != layout.coordinates || other_bytes != expected) {
    return Malformed(absl::StrCat("of another model: ", coordinates, " coordinates and ",
                                  other_bytes, " other bytes, where ", layout.coordinates, " and ",
                                  expected, " are expected"));
  }
  return kind;
}

absl::Status TakeWhole(const Manifest& manifest, const UpdateLayout& layout,
                       std::span<const uint8_t>* payload, std::span<uint8_t> model) {
  FW_ASSIGN_OR_RETURN(const std::vector<float> steps, TakeSteps(payload, layout.coordinates));
  std::vector<int16_t> multiples(std::min(kGroup, layout.coordinates));
  std::vector<float> values(std::min(kPart, layout.coordinates));
  LayoutWalker walker(&layout);
  for (uint64_t begin = 0; begin < layout.coordinates; begin += kGroup) {
    const std::span<int16_t> group(multiples.data(), std::min(kGroup, layout.coordinates - begin));
    FW_RETURN_IF_ERROR(TakeSymbols(payload, group));
    if (SymbolRangeKernel(group.data(), group.size()).min < -kMaxMultiple) {
      return Malformed(absl::StrCat("a multiple below ", -kMaxMultiple));
    }
    for (uint64_t at = 0; at < group.size(); at += kPart) {
      const std::span<float> part(values.data(), std::min(kPart, group.size() - at));
      FromMultiples(StepsFrom(steps, begin + at), group.subspan(at, part.size()), part);
      walker.Write(part, model);
    }
  }
  return TakeZstdSection(payload, OutsideOf(manifest, layout, model));
}

absl::StatusOr<std::string_view> TakeText(std::span<const uint8_t>* payload, uint64_t most) {
  FW_ASSIGN_OR_RETURN(const uint64_t size, TakeVarint(payload));
  if (size > payload->size() || size > most) return Malformed("it ends early");
  const std::string_view text = AsText(payload->first(size));
  *payload = payload->subspan(size);
  return text;
}

absl::Status CheckEnd(std::span<const uint8_t> payload) {
  if (payload.empty()) return absl::OkStatus();
  return Malformed(absl::StrCat(payload.size(), " bytes too many"));
}

// What is wrong with a payload's codec is wrong with the payload.
absl::Status AsMalformed(const absl::Status& status) {
  if (status.ok() || status.code() == absl::StatusCode::kResourceExhausted) return status;
  return Malformed(std::string(status.message()));
}

// What the bytes of a step hold, before the codec's bytes are decoded.
struct ParsedStep {
  std::unique_ptr<Codec> codec;
  std::unique_ptr<Decoder> delta;
  std::vector<float> steps;
};

// `payload` begins behind the header, and with the section of buffers then.
absl::StatusOr<ParsedStep> ParseStep(const UpdateLayout& layout,
                                     std::span<const uint8_t>* payload) {
  FW_ASSIGN_OR_RETURN(const std::string_view text, TakeText(payload, bounds::kMaxNameLength));
  ParsedStep step;
  auto codec = MakeCodec(std::string(text));
  if (!codec.ok()) return AsMalformed(codec.status());
  step.codec = *std::move(codec);
  FW_ASSIGN_OR_RETURN(const std::string_view coded, TakeText(payload, payload->size()));
  auto delta = step.codec->Open(AsBytes(coded), layout.coordinates);
  if (!delta.ok()) return AsMalformed(delta.status());
  step.delta = *std::move(delta);
  FW_ASSIGN_OR_RETURN(step.steps, TakeSteps(payload, layout.coordinates));
  return step;
}

// Calls fn(values) for the new model's coordinates, in rising order, kPart at a time.
template <typename Fn>
absl::Status EachNewPart(const UpdateLayout& layout, const ParsedStep& step,
                         std::span<const uint8_t> from, const Fn& fn) {
  std::vector<float> deltas(std::min(kPart, layout.coordinates));
  std::vector<float> values(deltas.size());
  LayoutWalker reader(&layout);
  for (uint64_t begin = 0; begin < layout.coordinates; begin += kPart) {
    const std::span<float> delta(deltas.data(), std::min(kPart, layout.coordinates - begin));
    const std::span<float> part(values.data(), delta.size());
    FW_RETURN_IF_ERROR(AsMalformed(step.delta->Read(begin, delta)));
    reader.Read(from, part);
    FW_RETURN_IF_ERROR(AddAndRound(StepsFrom(step.steps, begin), delta, part));
    FW_RETURN_IF_ERROR(fn(part));
  }
  return absl::OkStatus();
}

void CopyOutside(const Manifest& manifest, const UpdateLayout& layout,
                 std::span<const uint8_t> from, std::span<uint8_t> model) {
  const std::vector<std::span<const uint8_t>> sources = OutsideOf(manifest, layout, from);
  const std::vector<std::span<uint8_t>> targets = OutsideOf(manifest, layout, model);
  for (size_t i = 0; i < sources.size(); ++i) {
    std::copy(sources[i].begin(), sources[i].end(), targets[i].begin());
  }
}

// From the model `from` into `model`, which may be one and the same.
absl::Status TakeStep(const Manifest& manifest, const UpdateLayout& layout,
                      std::span<const uint8_t> from, std::span<const uint8_t>* payload,
                      std::span<uint8_t> model) {
  FW_ASSIGN_OR_RETURN(const ParsedStep step, ParseStep(layout, payload));
  LayoutWalker writer(&layout);
  FW_RETURN_IF_ERROR(EachNewPart(layout, step, from, [&](std::span<const float> part) {
    writer.Write(part, model);
    return absl::OkStatus();
  }));
  if (from.data() != model.data()) CopyOutside(manifest, layout, from, model);
  return TakeZstdSection(payload, BuffersOf(manifest, layout, model));
}

// A flat model's bytes that are no coordinates, one after another.
std::vector<uint8_t> JoinOutside(const Manifest& manifest, const UpdateLayout& layout,
                                 std::span<const uint8_t> model) {
  std::vector<uint8_t> bytes;
  for (const std::span<const uint8_t> part : OutsideOf(manifest, layout, model)) {
    bytes.insert(bytes.end(), part.begin(), part.end());
  }
  return bytes;
}

// The layout's buffers within those. Pieces of both kinds rise.
std::vector<std::span<uint8_t>> BuffersIn(const Manifest& manifest, const UpdateLayout& layout,
                                          std::span<uint8_t> outside) {
  std::vector<std::span<uint8_t>> buffers;
  uint64_t coordinate_bytes = 0;  // before the buffer
  auto next = layout.trainable.begin();
  for (const UpdateLayout::Piece& buffer : layout.buffers) {
    for (; next != layout.trainable.end() && next->model_offset < buffer.model_offset; ++next) {
      coordinate_bytes += next->elements * sizeof(float);
    }
    buffers.push_back(outside.subspan(buffer.model_offset - coordinate_bytes,
                                      manifest.tensors()[buffer.tensor].Bytes()));
  }
  return buffers;
}

absl::Status StreamStep(const Manifest& manifest, const UpdateLayout& layout,
                        std::span<const uint8_t> from, std::span<const uint8_t> payload,
                        const ModelBuilder::Sink& sink) {
  FW_ASSIGN_OR_RETURN(const ParsedStep step, ParseStep(layout, &payload));
  std::vector<uint8_t> outside = JoinOutside(manifest, layout, from);
  FW_RETURN_IF_ERROR(TakeZstdSection(&payload, BuffersIn(manifest, layout, outside)));
  FW_RETURN_IF_ERROR(CheckEnd(payload));
  std::span<const uint8_t> waiting = outside;
  uint64_t given = 0;  // bytes of the model
  absl::Status status;
  const auto give = [&](std::span<const uint8_t> bytes) {
    if (status.ok() && !bytes.empty()) status = sink(bytes);
    given += bytes.size();
  };
  LayoutWalker walker(&layout);
  FW_RETURN_IF_ERROR(EachNewPart(layout, step, from, [&](std::span<const float> part) {
    walker.EachRun(part, [&](uint64_t offset, std::span<const uint8_t> run) {
      const uint64_t gap = offset - given;
      give(waiting.first(gap));
      waiting = waiting.subspan(gap);
      give(run);
    });
    return status;
  }));
  give(waiting);
  return status;
}

}  // namespace

absl::StatusOr<std::string> EncodeWholeModel(const Manifest& manifest, const UpdateLayout& layout,
                                             std::span<const uint8_t> model,
                                             std::span<const float> steps) {
  if (model.size() != manifest.TotalBytes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a model of ", model.size(), " bytes; the manifest says ", manifest.TotalBytes()));
  }
  FW_RETURN_IF_ERROR(CheckLatticeSteps(steps, layout.coordinates));
  std::string payload = Header(kWhole, layout.coordinates, OtherBytes(manifest, layout));
  FW_RETURN_IF_ERROR(AppendSteps(steps, &payload));
  // What a lattice of 8 bits takes at most.
  payload.reserve(payload.size() + layout.coordinates);
  PreferHugePages(payload.data() + payload.size(), layout.coordinates);
  std::vector<int16_t> multiples(std::min(kGroup, layout.coordinates));
  std::vector<float> values(std::min(kPart, layout.coordinates));
  LayoutWalker walker(&layout);
  for (uint64_t begin = 0; begin < layout.coordinates; begin += kGroup) {
    const std::span<int16_t> group(multiples.data(), std::min(kGroup, layout.coordinates - begin));
    for (uint64_t at = 0; at < group.size(); at += kPart) {
      const std::span<float> part(values.data(), std::min(kPart, group.size() - at));
      walker.Read(model, part);
      FW_RETURN_IF_ERROR(
          ToMultiples(StepsFrom(steps, begin + at), part, group.subspan(at, part.size())));
    }
    AppendSymbols(group, &payload);
  }
  FW_RETURN_IF_ERROR(AppendZstdSection(OutsideOf(manifest, layout, model), &payload));
  return payload;
}

absl::StatusOr<std::string> EncodeModelStep(const Codec& codec, const CodecContext& context,
                                            const UpdateLayout& layout,
                                            std::span<const float> delta,
                                            std::span<const float> steps,
                                            std::span<const uint8_t> buffers) {
  if (delta.size() != layout.coordinates || buffers.size() != layout.buffer_bytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a step of ", delta.size(), " coordinates and ", buffers.size(),
        " bytes of buffers; the layout has ", layout.coordinates, " and ", layout.buffer_bytes));
  }
  FW_RETURN_IF_ERROR(CheckLatticeSteps(steps, layout.coordinates));
  std::string payload = Header(kStep, layout.coordinates, layout.buffer_bytes);
  const std::string text = codec.spec().ToString();
  AppendVarint(text.size(), &payload);
  payload += text;
  {
    std::string coded;
    FW_RETURN_IF_ERROR(codec.Encode(delta, context, &coded));
    AppendVarint(coded.size(), &payload);
    payload += coded;
  }
  FW_RETURN_IF_ERROR(AppendSteps(steps, &payload));
  const std::span<const uint8_t> whole[] = {buffers};
  FW_RETURN_IF_ERROR(AppendZstdSection(whole, &payload));
  return payload;
}

ModelBuilder::ModelBuilder(const Manifest* manifest, const UpdateLayout* layout,
                           std::unique_ptr<uint8_t[]> model)
    : manifest_(manifest), layout_(layout), model_(std::move(model)) {}

absl::StatusOr<ModelBuilder> ModelBuilder::Create(const Manifest* manifest,
                                                  const UpdateLayout* layout) {
  // Left as it is: either way to a model writes all of it.
  std::unique_ptr<uint8_t[]> model(new (std::nothrow) uint8_t[manifest->TotalBytes()]);
  if (model == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat("no memory for a model of ", HumanBytes(manifest->TotalBytes())));
  }
  PreferHugePages(model.get(), manifest->TotalBytes());
  return ModelBuilder(manifest, layout, std::move(model));
}

std::span<const uint8_t> ModelBuilder::model() const {
  return present_.value_or(std::span<const uint8_t>());
}

absl::Status ModelBuilder::StartFrom(std::span<const uint8_t> model) {
  present_.reset();
  if (model.size() != manifest_->TotalBytes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a model of ", model.size(), " bytes; the manifest says ", manifest_->TotalBytes()));
  }
  present_ = model;
  return absl::OkStatus();
}

absl::Status ModelBuilder::Apply(std::span<const uint8_t> payload) {
  const auto from = std::exchange(present_, std::nullopt);
  FW_ASSIGN_OR_RETURN(const char kind, TakeHeader(*manifest_, *layout_, &payload));
  if (kind == kStep && !from) return Malformed("a step, but there is no model to step from");
  FW_RETURN_IF_ERROR(kind == kWhole ? TakeWhole(*manifest_, *layout_, &payload, bytes())
                                    : TakeStep(*manifest_, *layout_, *from, &payload, bytes()));
  FW_RETURN_IF_ERROR(CheckEnd(payload));
  present_ = bytes();
  return absl::OkStatus();
}

absl::Status ModelBuilder::Stream(std::span<const uint8_t> payload, const Sink& sink) {
  const auto from = std::exchange(present_, std::nullopt);
  std::span<const uint8_t> rest = payload;
  FW_ASSIGN_OR_RETURN(const char kind, TakeHeader(*manifest_, *layout_, &rest));
  if (kind == kWhole || !from) {
    FW_RETURN_IF_ERROR(Apply(payload));
    const std::span<const uint8_t> whole = *std::exchange(present_, std::nullopt);
    for (size_t begin = 0; begin < whole.size(); begin += kSinkBytes) {
      FW_RETURN_IF_ERROR(sink(whole.subspan(begin, std::min(kSinkBytes, whole.size() - begin))));
    }
    return absl::OkStatus();
  }
  return StreamStep(*manifest_, *layout_, *from, rest, sink);
}

}  // namespace fedwatt
