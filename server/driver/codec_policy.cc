#include "server/driver/codec_policy.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/bytes.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

// Rates dense enough that the best of them costs within some per cent of the best there is.
constexpr const char* kRates[] = {"eden:bits=0.5", "eden:bits=1", "eden:bits=1.5", "eden:bits=2",
                                  "eden:bits=3",   "eden:bits=4", "eden:bits=6",   "eden:bits=8",
                                  "bf16",          "raw_f32"};
constexpr char kExact[] = "raw_f32";

// No device is so fast or so hungry. Bounds what a client says of itself, so that no product of
// two figures and a size overflows.
constexpr double kMaxFigure = 1e15;

using Candidates = std::vector<std::shared_ptr<const UploadCodec>>;

// A rate or a cost of 0 is one that the device could not measure.
std::optional<double> Figure(const std::optional<double>& claimed) {
  if (!claimed || !(*claimed > 0)) return std::nullopt;
  return std::min(*claimed, kMaxFigure);
}

std::string Bytes(double bytes) {
  constexpr double kMaxShown = 1e18;
  return HumanBytes(static_cast<uint64_t>(std::min(bytes, kMaxShown)));
}

// What the costs of one client's codecs are made of, in one unit.
struct Prices {
  const char* unit = "";
  double train = 0;
  double per_byte = 0;
  std::string link;  // per_byte in words
  double encode = 0;

  double Encode(const UploadCodec& codec) const { return codec.need.codec == kExact ? 0 : encode; }
  double Upload(const UploadCodec& codec) const { return codec.expected_bytes * per_byte; }
  double Effective(const UploadCodec& codec) const {
    return (train + Encode(codec) + Upload(codec)) * (1 + codec.quality.vnmse);
  }
};

std::optional<Prices> KnownPrices(const CostEstimate& costs, uint64_t coordinates) {
  const auto joules_per_byte = Figure(costs.up_joules_per_byte);
  const auto train_joules = Figure(costs.train_joules);
  if (joules_per_byte && train_joules) {
    const double encode = Figure(costs.encode_joules_per_coordinate).value_or(0);
    return Prices{"J", *train_joules, *joules_per_byte,
                  absl::StrFormat("%.3g uJ/B", *joules_per_byte * 1e6),
                  encode * static_cast<double>(coordinates)};
  }
  const auto bytes_per_s = Figure(costs.up_bytes_per_s);
  const auto train_seconds = Figure(costs.train_seconds);
  if (!bytes_per_s || !train_seconds) return std::nullopt;
  return Prices{"s", *train_seconds, 1 / *bytes_per_s, absl::StrCat(Bytes(*bytes_per_s), "/s"), 0};
}

// Of equal costs the smallest, of those the first.
template <typename CostOf>
std::shared_ptr<const UploadCodec> Cheapest(const Candidates& candidates, const CostOf& cost_of) {
  return *std::min_element(candidates.begin(), candidates.end(),
                           [&cost_of](const auto& a, const auto& b) {
                             return std::pair(cost_of(*a), a->expected_bytes) <
                                    std::pair(cost_of(*b), b->expected_bytes);
                           });
}

ChosenCodec ByPrice(const Prices& prices, const Candidates& in_time, const Candidates& usable) {
  const auto effective = [&prices](const UploadCodec& codec) { return prices.Effective(codec); };
  ChosenCodec chosen{Cheapest(in_time, effective), ""};
  const UploadCodec& codec = *chosen.codec;
  chosen.reason = absl::StrFormat("%s: %.3g %s per effective update (train %.3g, ", codec.text,
                                  prices.Effective(codec), prices.unit, prices.train);
  if (const double encode = prices.Encode(codec); encode > 0) {
    absl::StrAppendFormat(&chosen.reason, "encode %.3g, ", encode);
  }
  absl::StrAppendFormat(&chosen.reason, "upload %.3g at %s, error %.3g)", prices.Upload(codec),
                        prices.link, codec.quality.vnmse);
  // Against the exact one; where that is chosen, against the next.
  Candidates others = usable;
  std::erase(others, chosen.codec);
  if (others.empty()) return chosen;
  const auto exact = std::find_if(others.begin(), others.end(),
                                  [](const auto& other) { return other->need.codec == kExact; });
  const auto other = exact != others.end() ? *exact : Cheapest(others, effective);
  absl::StrAppendFormat(&chosen.reason, "; %s would cost %.3g %s", other->text,
                        prices.Effective(*other), prices.unit);
  return chosen;
}

ChosenCodec Unpriced(const JobSpec& spec, const Candidates& in_time) {
  constexpr char kUnknown[] = "the client does not know yet what training and a byte cost it";
  for (const auto& codec : in_time) {
    if (codec->text != spec.codec.up) continue;
    return {codec, absl::StrCat(codec->text, ": the job's codec.up; ", kUnknown)};
  }
  ChosenCodec chosen{Cheapest(in_time,
                              [](const UploadCodec& codec) {
                                return codec.expected_bytes * (1 + codec.quality.vnmse);
                              }),
                     ""};
  chosen.reason = absl::StrCat(chosen.codec->text, ": ", Bytes(chosen.codec->expected_bytes),
                               ", the fewest bytes per effective update; ", kUnknown);
  return chosen;
}

ChosenCodec Adaptive(const JobSpec& spec, const Candidates& usable, const CostEstimate& costs) {
  Candidates in_time = usable;
  std::string limit;
  if (const auto bytes_per_s = Figure(costs.up_bytes_per_s)) {
    const double seconds = spec.codec.upload_share * spec.round.report_deadline_s;
    const double room = seconds * *bytes_per_s;
    std::erase_if(in_time, [room](const auto& codec) { return codec->expected_bytes > room; });
    limit =
        absl::StrFormat("the %.3g s that an upload may take at %s/s", seconds, Bytes(*bytes_per_s));
  }
  if (in_time.empty()) {
    ChosenCodec smallest{Cheapest(usable, [](const UploadCodec&) { return 0; }), ""};
    smallest.reason =
        absl::StrCat(smallest.codec->text, ": ", Bytes(smallest.codec->expected_bytes),
                     ", the smallest within codec.max_error; none fits ", limit);
    return smallest;
  }
  const auto prices = KnownPrices(costs, usable.front()->coordinates);
  ChosenCodec chosen = prices ? ByPrice(*prices, in_time, usable) : Unpriced(spec, in_time);
  if (in_time.size() < usable.size()) {
    absl::StrAppend(&chosen.reason, "; larger ones do not fit ", limit);
  }
  return chosen;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const UploadCodec>> MakeUploadCodec(const std::string& text,
                                                                   const UpdateLayout& layout) {
  auto made = std::make_shared<UploadCodec>();
  FW_ASSIGN_OR_RETURN(made->codec, MakeCodec(text));
  made->text = text;
  made->need = {made->codec->spec().name, made->codec->needs_error_feedback()};
  made->quality = made->codec->quality();
  made->coordinates = layout.coordinates;
  const auto buffers = static_cast<double>(layout.buffer_bytes);
  made->expected_bytes =
      std::ceil(made->quality.bits * static_cast<double>(layout.coordinates) / 8) + buffers;
  const uint64_t most = made->codec->MaxEncodedBytes(layout.coordinates);
  constexpr uint64_t kMax = std::numeric_limits<uint64_t>::max();
  made->max_bytes = most > kMax - layout.buffer_bytes ? kMax : most + layout.buffer_bytes;
  return std::shared_ptr<const UploadCodec>(std::move(made));
}

absl::StatusOr<Candidates> UploadCodecs(const JobSpec::CodecChoice& choice,
                                        const UpdateLayout& layout) {
  FW_ASSIGN_OR_RETURN(auto up, MakeUploadCodec(choice.up, layout));
  if (choice.policy == "fixed") return Candidates{std::move(up)};
  Candidates codecs = {std::move(up)};
  for (const char* text : kRates) {
    FW_ASSIGN_OR_RETURN(auto codec, MakeUploadCodec(text, layout));
    if (codec->codec->spec() != codecs.front()->codec->spec()) codecs.push_back(std::move(codec));
  }
  std::erase_if(
      codecs, [&choice](const auto& codec) { return !(codec->quality.vnmse <= choice.max_error); });
  return codecs;
}

absl::StatusOr<ChosenCodec> ChooseCodec(const JobSpec& spec, const Candidates& codecs,
                                        const Offer& offer) {
  Candidates usable = codecs;
  std::erase_if(usable, [&offer](const auto& codec) {
    return !CanEncode(offer.request.capabilities, codec->need);
  });
  if (usable.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "client ", offer.client, " can encode none of the job's ", codecs.size(), " codecs"));
  }
  if (spec.codec.policy == "fixed") {
    return ChosenCodec{usable.front(),
                       absl::StrCat(usable.front()->text, ": the job's codec.up, for all clients")};
  }
  return Adaptive(spec, usable, offer.request.costs);
}

}  // namespace fedwatt
