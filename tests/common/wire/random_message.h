#pragma once

// Fills any message with random values that a well-behaved peer could send, by reflection, so that
// a new field is tested without a new line.

#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "common/crypto/sha256.h"
#include "google/protobuf/message.h"

namespace fedwatt {

class RandomMessage {
 public:
  explicit RandomMessage(uint64_t seed) : rng_(RngKey{"wire", 0, "", "roundtrip", seed}) {}

  void Fill(google::protobuf::Message* message) {
    const auto& descriptor = *message->GetDescriptor();
    if (descriptor.name() == "Resource") return FillResource(message);
    for (int i = 0; i < descriptor.field_count(); ++i) {
      const auto* field = descriptor.field(i);
      if (MayBeAbsent(*field) && rng_.UniformInt(3) == 0) continue;
      const uint64_t count = field->is_repeated() ? rng_.UniformInt(4) : 1;
      for (uint64_t k = 0; k < count; ++k) Set(message, *field);
    }
    Repair(message);
  }

 private:
  using Field = google::protobuf::FieldDescriptor;

  // Where absence stays absence: in job specs it becomes the default, but for the target.
  static bool MayBeAbsent(const Field& field) {
    const bool has_default = field.file()->name() == "fedwatt/v1/job.proto";
    return field.containing_oneof() != nullptr && (!has_default || field.name() == "target");
  }

  std::string Text(const Field& field) {
    const std::string name(field.name());
    if (field.type() == Field::TYPE_BYTES) {
      const size_t size = name == "ed25519" ? 64 : 32;
      std::string bytes;
      while (bytes.size() < size) bytes.push_back(static_cast<char>(1 + rng_.UniformInt(255)));
      return bytes;
    }
    if (name == "role") return rng_.UniformInt(2) == 0 ? "client" : "evaluator";
    if (name == "policy") return rng_.UniformInt(2) == 0 ? "fixed" : "adaptive";
    if (name == "where") return rng_.UniformInt(2) == 0 ? "clients" : "evaluator";
    if (name == "mode") return rng_.UniformInt(2) == 0 ? "max" : "min";
    if (name == "warm_start_version") return rng_.UniformInt(2) == 0 ? "best" : "17";
    return absl::StrCat("t", rng_.UniformInt(1'000'000));
  }

  uint64_t Number() { return 1 + rng_.UniformInt(20); }

  void Set(google::protobuf::Message* m, const Field& f) {
    const auto& r = *m->GetReflection();
    const bool list = f.is_repeated();
    switch (f.cpp_type()) {
      case Field::CPPTYPE_BOOL: {
        const bool v = rng_.UniformInt(2) == 1;
        return list ? r.AddBool(m, &f, v) : r.SetBool(m, &f, v);
      }
      case Field::CPPTYPE_INT32:
        return r.SetInt32(m, &f, static_cast<int32_t>(Number()));
      case Field::CPPTYPE_INT64: {
        const auto v = static_cast<int64_t>(Number());
        return list ? r.AddInt64(m, &f, v) : r.SetInt64(m, &f, v);
      }
      case Field::CPPTYPE_UINT32:
        return r.SetUInt32(m, &f, static_cast<uint32_t>(Number()));
      case Field::CPPTYPE_UINT64:
        return r.SetUInt64(m, &f, Number());
      case Field::CPPTYPE_DOUBLE:
        return r.SetDouble(m, &f, rng_.Uniform01());
      case Field::CPPTYPE_FLOAT:
        return r.SetFloat(m, &f, 0.5f);
      case Field::CPPTYPE_ENUM: {
        const auto last = static_cast<uint64_t>(f.enum_type()->value_count() - 1);
        return r.SetEnumValue(m, &f, static_cast<int>(1 + rng_.UniformInt(last)));
      }
      case Field::CPPTYPE_STRING:
        return list ? r.AddString(m, &f, Text(f)) : r.SetString(m, &f, Text(f));
      case Field::CPPTYPE_MESSAGE:
        return Fill(list ? r.AddMessage(m, &f) : r.MutableMessage(m, &f));
    }
  }

  void SetNumber(google::protobuf::Message* m, const char* name, uint64_t value) {
    const Field* f = m->GetDescriptor()->FindFieldByName(name);
    switch (f->cpp_type()) {
      case Field::CPPTYPE_UINT32:
        return m->GetReflection()->SetUInt32(m, f, static_cast<uint32_t>(value));
      case Field::CPPTYPE_UINT64:
        return m->GetReflection()->SetUInt64(m, f, value);
      case Field::CPPTYPE_DOUBLE:
        return m->GetReflection()->SetDouble(m, f, static_cast<double>(value));
      default:
        return m->GetReflection()->SetEnumValue(m, f, static_cast<int>(value));
    }
  }

  // What must hold between fields.
  void Repair(google::protobuf::Message* m) {
    const std::string name(m->GetDescriptor()->name());
    if (name == "CheckInRequest") SetNumber(m, "protocol_max", 30);
    if (name == "LossSums") SetNumber(m, "predictions", 30);
    if (name == "Plan") SetNumber(m, "local_steps", 0), SetNumber(m, "local_epochs", Number());
    if (name == "OptimizerSpec") SetNumber(m, "lr", Number());
    if (name == "RoundSpec") {
      SetNumber(m, "goal", 30);
      SetNumber(m, "over_selection", Number());
      SetNumber(m, "backoff_max_s", 30);
      for (const char* f : {"selection_timeout_s", "report_deadline_s", "interval_s"}) {
        SetNumber(m, f, Number());
      }
    }
    if (name == "EvaluationSpec") SetNumber(m, "timeout_s", Number());
    if (name == "BoundsSpec") SetNumber(m, "max_abs_delta", Number());
    if (name == "CodecSpec") {
      SetNumber(m, "max_error", 1);
      SetNumber(m, "upload_share", 1);
      SetNumber(m, "keyframe_bits", 4 + rng_.UniformInt(12));
    }
    if (name == "JobSpec") SetNumber(m, "telemetry_level", 2);
    if (name == "DeviceTelemetry") {
      for (const char* f : {"charge", "capacity", "link", "loss"}) {
        SetNumber(m, f, rng_.UniformInt(8));
      }
    }
    if (name == "BundleHeader") SetNumber(m, "format_version", 1);
    if (name == "TensorSpec") SetNumber(m, "role", 2);
    // The reason is ours when a sample is refused; without a figure there is none to vary.
    if (name == "EnergySample") SetNumber(m, "quality", 1 + rng_.UniformInt(4)), SetFigure(m);
  }

  void SetFigure(google::protobuf::Message* m) {
    const Field* f = m->GetDescriptor()->FindFieldByName("energy_uj");
    m->GetReflection()->SetInt64(m, f, static_cast<int64_t>(Number()));
  }

  void FillResource(google::protobuf::Message* m) {
    const auto& d = *m->GetDescriptor();
    const auto& r = *m->GetReflection();
    const std::string data = absl::StrCat("data ", rng_.NextU32());
    const Digest digest = Sha256Of(AsBytes(data));
    const uint64_t form = rng_.UniformInt(3);
    if (form == 0) r.SetString(m, d.FindFieldByName("inline_data"), data);
    if (form == 1) r.SetString(m, d.FindFieldByName("uri"), "https://models.example/1");
    r.SetString(m, d.FindFieldByName("sha256"), std::string(digest.begin(), digest.end()));
    r.SetUInt64(m, d.FindFieldByName("size"), data.size());
  }

  Rng rng_;
};

}  // namespace fedwatt
