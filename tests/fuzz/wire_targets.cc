// Messages: what FromProto takes, it takes again and unchanged after ToProto, so that nothing
// unchecked gets into a store or on to the next peer.
//
// An input is a byte that chooses the message, and the message.

#include <span>

#include "common/wire/bundle_bytes.h"
#include "common/wire/client_wire.h"
#include "common/wire/job_wire.h"
#include "google/protobuf/util/message_differencer.h"
#include "tests/common/wire/random_message.h"
#include "tests/fuzz/fuzz_target.h"

namespace fedwatt::fuzz {
namespace {

struct MessageKind {
  void (*run)(ByteSpan bytes);
  std::string (*well_formed)(uint64_t seed);
};

template <typename Message>
void RunMessage(ByteSpan bytes) {
  Message message;
  if (!message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) return;
  const auto value = wire::FromProto(message);
  if (!value.ok()) return;
  Message sent;
  wire::ToProto(*value, &sent);
  const auto received = wire::FromProto(sent);
  Expect(received.ok(), "what was taken is taken again");
  Message sent_again;
  wire::ToProto(*received, &sent_again);
  Expect(google::protobuf::util::MessageDifferencer::Equals(sent, sent_again),
         "what was taken travels unchanged");
}

template <typename Message>
std::string RandomBytes(uint64_t seed) {
  Message message;
  RandomMessage(seed).Fill(&message);
  return message.SerializeAsString();
}

template <typename Message>
MessageKind Kind() {
  return {RunMessage<Message>, RandomBytes<Message>};
}

template <auto Parse, auto Serialize>
void RunHeader(ByteSpan bytes) {
  const auto header = Parse(bytes);
  if (!header.ok()) return;
  const std::string sent = Serialize(*header);
  const auto received = Parse(AsBytes(sent));
  Expect(received.ok(), "a header that was taken is taken again");
  Expect(Serialize(*received) == sent, "a header that was taken travels unchanged");
}

FuzzTarget Target(const std::string& name, std::vector<MessageKind> kinds) {
  const auto run = [kinds](ByteSpan input) {
    if (!input.empty()) kinds[input[0] % kinds.size()].run(input.subspan(1));
  };
  const auto well_formed = [kinds](Rng& rng) {
    const uint64_t kind = rng.UniformInt(kinds.size());
    return std::string(1, static_cast<char>(kind)) + kinds[kind].well_formed(rng.NextU32());
  };
  return {name, run, well_formed};
}

}  // namespace

std::vector<FuzzTarget> WireTargets() {
  return {
      Target("client_messages", {Kind<v1::CheckInRequest>(), Kind<v1::ReportRequest>()}),
      Target("server_messages", {Kind<v1::CheckInResponse>(), Kind<v1::ReportResponse>(),
                                 Kind<v1::UploadStatusResponse>()}),
      Target("job_messages", {Kind<v1::JobSpec>(), Kind<v1::Plan>()}),
      Target("bundle_headers",
             {{RunHeader<wire::ParseBundleHeader, wire::SerializeBundleHeader>,
               RandomBytes<v1::BundleHeader>},
              {RunHeader<wire::ParseSignedBundleHeader, wire::SerializeSignedBundleHeader>,
               RandomBytes<v1::SignedBundleHeader>}}),
  };
}

}  // namespace fedwatt::fuzz
