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

// What is wrong with a payload's codec is wrong with the payload.
absl::Status AsMalformed(const absl::Status& status) {
  if (status.ok() || status.code() == absl::StatusCode::kResourceExhausted) return status;
  return Malformed(std::string(status.message()));
}

absl::Status AddDelta(const UpdateLayout& layout, Decoder& delta, std::span<const float> steps,
                      std::span<uint8_t> model) {
  std::vector<float> deltas(std::min(kPart, layout.coordinates));
  std::vector<float> values(deltas.size());
  LayoutWalker reader(&layout);
  LayoutWalker writer(&layout);
  for (uint64_t begin = 0; begin < layout.coordinates; begin += kPart) {
    const uint64_t count = std::min(kPart, layout.coordinates - begin);
    const std::span<float> part(values.data(), count);
    FW_RETURN_IF_ERROR(AsMalformed(delta.Read(begin, std::span(deltas.data(), count))));
    reader.Read(model, part);
    FW_RETURN_IF_ERROR(AddAndRound(StepsFrom(steps, begin), std::span(deltas.data(), count), part));
    writer.Write(part, model);
  }
  return absl::OkStatus();
}

absl::Status TakeStep(const Manifest& manifest, const UpdateLayout& layout,
                      std::span<const uint8_t>* payload, std::span<uint8_t> model) {
  FW_ASSIGN_OR_RETURN(const std::string_view text, TakeText(payload, bounds::kMaxNameLength));
  const absl::StatusOr<std::unique_ptr<Codec>> codec = MakeCodec(std::string(text));
  if (!codec.ok()) return AsMalformed(codec.status());
  FW_ASSIGN_OR_RETURN(const std::string_view coded, TakeText(payload, payload->size()));
  const absl::StatusOr<std::unique_ptr<Decoder>> delta =
      (*codec)->Open(AsBytes(coded), layout.coordinates);
  if (!delta.ok()) return AsMalformed(delta.status());
  FW_ASSIGN_OR_RETURN(const std::vector<float> steps, TakeSteps(payload, layout.coordinates));
  FW_RETURN_IF_ERROR(AddDelta(layout, **delta, steps, model));
  return TakeZstdSection(payload, BuffersOf(manifest, layout, model));
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
  return ModelBuilder(manifest, layout, std::move(model));
}

std::span<const uint8_t> ModelBuilder::model() const {
  if (!has_model_) return {};
  return {model_.get(), manifest_->TotalBytes()};
}

absl::Status ModelBuilder::StartFrom(std::span<const uint8_t> model) {
  has_model_ = false;
  if (model.size() != manifest_->TotalBytes()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "a model of ", model.size(), " bytes; the manifest says ", manifest_->TotalBytes()));
  }
  if (!model.empty()) std::memcpy(model_.get(), model.data(), model.size());
  has_model_ = true;
  return absl::OkStatus();
}

absl::Status ModelBuilder::Apply(std::span<const uint8_t> payload) {
  const bool had_model = std::exchange(has_model_, false);
  FW_ASSIGN_OR_RETURN(const char kind, TakeHeader(*manifest_, *layout_, &payload));
  if (kind == kStep && !had_model) return Malformed("a step, but there is no model to step from");
  FW_RETURN_IF_ERROR(kind == kWhole ? TakeWhole(*manifest_, *layout_, &payload, bytes())
                                    : TakeStep(*manifest_, *layout_, &payload, bytes()));
  if (!payload.empty()) return Malformed(absl::StrCat(payload.size(), " bytes too many"));
  has_model_ = true;
  return absl::OkStatus();
}

}  // namespace fedwatt
