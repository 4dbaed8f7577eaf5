#include "client/trainers/torch/archive_scan.h"

#include <caffe2/serialize/inline_container.h>
#include <caffe2/serialize/read_adapter_interface.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace fedwatt {
namespace {

// Code and debug records are compressed, tensors are not.
constexpr uint64_t kMaxCodeBytes = 64 * 1024 * 1024;

class SpanReader final : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit SpanReader(ByteSpan bytes) : bytes_(bytes) {}
  size_t size() const override { return bytes_.size(); }
  size_t read(uint64_t pos, void* buf, size_t n, const char*) const override {
    if (pos >= bytes_.size()) return 0;
    const size_t count = std::min<size_t>(n, bytes_.size() - pos);
    std::memcpy(buf, bytes_.data() + pos, count);
    return count;
  }

 private:
  ByteSpan bytes_;
};

absl::Status NotTorchScript(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "not a TorchScript archive (", why,
      "). Export it in Python with torch.jit.script(model).save(\"model.pt\"); files written by ",
      "torch.save hold no code"));
}

absl::Status CheckCode(const std::string& record, const std::string& code) {
  for (const char* hook : {"__setstate__", "__getstate__"}) {
    if (!absl::StrContains(code, hook)) continue;
    return absl::PermissionDeniedError(absl::StrCat(
        "record ", record, " defines ", hook, ", which runs while the model is loaded, before ",
        "its operators can be checked. Remove the method in Python and export again"));
  }
  return absl::OkStatus();
}

absl::Status CheckNoCustomClass(const std::string& record, std::string content) {
  // A pickled global is "module\nname\n"; the two halves may be split anywhere.
  std::replace(content.begin(), content.end(), '\n', '.');
  if (!absl::StrContains(content, "torch.classes")) return absl::OkStatus();
  return absl::PermissionDeniedError(absl::StrCat(
      "record ", record, " uses a custom C++ class (torch.classes), as quantized modules do. ",
      "Only tensors and TorchScript classes can be loaded: export the float model"));
}

absl::Status ScanRecord(const std::string& record, const std::string& content) {
  if (absl::EndsWith(record, ".py")) FW_RETURN_IF_ERROR(CheckCode(record, content));
  return CheckNoCustomClass(record, content);
}

absl::Status ScanRecords(caffe2::serialize::PyTorchStreamReader& reader) {
  const std::vector<std::string> records = reader.getAllRecords();
  const auto has = [&](const char* name) {
    return std::find(records.begin(), records.end(), name) != records.end();
  };
  if (has("model.json")) return NotTorchScript("the format of PyTorch before 1.3");
  if (!has("constants.pkl") || !has("data.pkl")) {
    return NotTorchScript("it has no data.pkl and constants.pkl");
  }
  uint64_t code_bytes = 0;
  for (const std::string& record : records) {
    if (absl::StartsWith(record, "data/") || absl::StartsWith(record, "constants/")) continue;
    const auto [data, size] = reader.getRecord(record);
    code_bytes += size;
    if (code_bytes > kMaxCodeBytes) {
      return absl::InvalidArgumentError(
          absl::StrCat("the archive unpacks to more than ", HumanBytes(kMaxCodeBytes), " of code"));
    }
    FW_RETURN_IF_ERROR(ScanRecord(record, std::string(static_cast<const char*>(data.get()), size)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ScanArchive(ByteSpan archive) {
  // LibTorch tells formats apart by these bytes: the others must not slip past this scan.
  if (archive.size() < 4 || std::memcmp(archive.data(), "PK\x03\x04", 4) != 0) {
    return NotTorchScript("it does not start as a zip file does");
  }
  try {
    caffe2::serialize::PyTorchStreamReader reader(MakeArchiveReader(archive));
    return ScanRecords(reader);
  } catch (const c10::Error& error) {
    return NotTorchScript(absl::StrCat("truncated or corrupt: ", error.what_without_backtrace()));
  } catch (const std::exception& error) {
    return NotTorchScript(absl::StrCat("truncated or corrupt: ", error.what()));
  }
}

std::shared_ptr<caffe2::serialize::ReadAdapterInterface> MakeArchiveReader(ByteSpan archive) {
  return std::make_shared<SpanReader>(archive);
}

}  // namespace fedwatt
