#include <cctype>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/base/status_util.h"
#include "common/crypto/x509.h"
#include "nlohmann/json.hpp"
#include "server/carbon/http_source.h"

namespace fedwatt {
namespace {

using Json = nlohmann::json;

constexpr double kGramsPerPound = 453.6;
constexpr double kKwhPerMwh = 1000;
// A "latest" figure that lies further ahead is of a broken clock, here or there.
constexpr int64_t kMaxAheadMs = 3'600'000;

absl::Status Wrong(const std::string& what) { return absl::InvalidArgumentError(what); }

std::string Escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || c == '-' || c == '_' || c == '.') {
      out += c;
    } else {
      absl::StrAppendFormat(&out, "%%%02X", byte);
    }
  }
  return out;
}

absl::StatusOr<Json> ParseObject(const std::string& body) {
  Json json = Json::parse(body, nullptr, false);
  if (json.is_discarded()) return Wrong("the answer is not JSON");
  if (!json.is_object()) return Wrong("the answer is not a JSON object");
  return json;
}

absl::StatusOr<std::string> TextIn(const Json& json, const char* key) {
  if (json.is_object() && json.contains(key) && json[key].is_string()) {
    return json[key].get<std::string>();
  }
  return Wrong(absl::StrCat("the answer has no text \"", key, "\""));
}

absl::StatusOr<double> NumberIn(const Json& json, const char* key) {
  if (json.is_object() && json.contains(key) && json[key].is_number()) {
    return json[key].get<double>();
  }
  return Wrong(absl::StrCat("the answer has no number \"", key, "\""));
}

absl::Status MustSay(const char* key, const std::string& said, const std::string& wanted) {
  if (said == wanted) return absl::OkStatus();
  return Wrong(absl::StrCat("\"", key, "\" is \"", said, "\", not \"", wanted, "\""));
}

// https://docs.electricitymaps.com, /v3/carbon-intensity/latest: the flow-traced average over the
// life cycle.
class ElectricityMapsService final : public CarbonService {
 public:
  std::string name() const override { return "electricity_maps"; }
  CarbonKind kind() const override { return CarbonKind{}; }

  std::string Url(const std::string& base, const std::string& region) const override {
    return absl::StrCat(base.empty() ? "https://api.electricitymaps.com" : base,
                        "/v3/carbon-intensity/latest?zone=", Escaped(region));
  }

  std::string TokenHeader(const std::string& token) const override {
    return absl::StrCat("auth-token: ", token);
  }

  absl::StatusOr<ServiceAnswer> Parse(const std::string& body, const std::string& region,
                                      int64_t now_ms) const override {
    FW_ASSIGN_OR_RETURN(const Json json, ParseObject(body));
    FW_ASSIGN_OR_RETURN(const std::string zone, TextIn(json, "zone"));
    FW_RETURN_IF_ERROR(MustSay("zone", zone, region));
    if (json.contains("emissionFactorType")) {
      FW_ASSIGN_OR_RETURN(const std::string type, TextIn(json, "emissionFactorType"));
      FW_RETURN_IF_ERROR(MustSay("emissionFactorType", type, "lifecycle"));
    }
    FW_ASSIGN_OR_RETURN(const double grams, NumberIn(json, "carbonIntensity"));
    FW_ASSIGN_OR_RETURN(const std::string time, TextIn(json, "datetime"));
    FW_ASSIGN_OR_RETURN(const int64_t time_ms, ParseIsoTime(time));
    if (time_ms > now_ms + kMaxAheadMs) {
      return Wrong(absl::StrCat("\"datetime\" ", time, " lies ahead of ", UtcTime(now_ms)));
    }
    ServiceAnswer answer{{{time_ms, grams}}, ""};
    if (json.value("isEstimated", Json()) == true) answer.note = "estimated by the service";
    return answer;
  }
};

// https://docs.watttime.org, /v3/forecast: what the next MWh causes at the stacks.
class WattTimeService final : public CarbonService {
 public:
  std::string name() const override { return "watttime"; }

  CarbonKind kind() const override {
    return {CarbonSignal::kMarginal, CarbonBoundary::kDirect, CarbonGas::kCo2,
            CarbonAccounting::kLocation};
  }

  std::string Url(const std::string& base, const std::string& region) const override {
    return absl::StrCat(base.empty() ? "https://api.watttime.org" : base,
                        "/v3/forecast?signal_type=co2_moer&region=", Escaped(region));
  }

  std::string TokenHeader(const std::string& token) const override {
    return absl::StrCat("Authorization: Bearer ", token);
  }

  absl::StatusOr<ServiceAnswer> Parse(const std::string& body, const std::string& region,
                                      int64_t) const override {
    FW_ASSIGN_OR_RETURN(const Json json, ParseObject(body));
    if (!json.contains("meta")) return Wrong("the answer has no object \"meta\"");
    const std::pair<const char*, std::string> wanted[] = {
        {"region", region}, {"signal_type", "co2_moer"}, {"units", "lbs_co2_per_mwh"}};
    for (const auto& [key, word] : wanted) {
      FW_ASSIGN_OR_RETURN(const std::string said, TextIn(json["meta"], key));
      FW_RETURN_IF_ERROR(MustSay(key, said, word));
    }
    if (!json.contains("data") || !json["data"].is_array()) {
      return Wrong("the answer has no list \"data\"");
    }
    if (json["data"].size() > kMaxIntensityPoints) return Wrong("\"data\" is too long");
    ServiceAnswer answer;
    for (const Json& item : json["data"]) {
      FW_ASSIGN_OR_RETURN(const std::string time, TextIn(item, "point_time"));
      FW_ASSIGN_OR_RETURN(const int64_t time_ms, ParseIsoTime(time));
      FW_ASSIGN_OR_RETURN(const double pounds, NumberIn(item, "value"));
      answer.points.push_back({time_ms, pounds * kGramsPerPound / kKwhPerMwh});
    }
    return answer;
  }
};

}  // namespace

std::unique_ptr<CarbonService> ElectricityMaps() {
  return std::make_unique<ElectricityMapsService>();
}

std::unique_ptr<CarbonService> WattTime() { return std::make_unique<WattTimeService>(); }

absl::StatusOr<std::unique_ptr<CarbonSource>> MakeElectricityMapsSource(
    const CarbonConfig& config) {
  return MakeHttpSource(ElectricityMaps(), config);
}

absl::StatusOr<std::unique_ptr<CarbonSource>> MakeWattTimeSource(const CarbonConfig& config) {
  return MakeHttpSource(WattTime(), config);
}

}  // namespace fedwatt
