#include "common/transport/peer_info.h"

#include <grpc/grpc_security_constants.h>

#include <memory>
#include <string>
#include <vector>

namespace fedwatt {
namespace {

std::string Metadata(const grpc::ServerContextBase& context, const char* key) {
  const auto& metadata = context.client_metadata();
  // Given twice it names nobody.
  if (metadata.count(key) != 1) return "";
  const grpc::string_ref value = metadata.find(key)->second;
  return {value.data(), value.size()};
}

}  // namespace

PeerInfo PeerInfoOf(const grpc::ServerContextBase& context) {
  PeerInfo peer;
  peer.address = context.peer();
  peer.claimed_subject = Metadata(context, kSubjectMetadataKey);
  peer.claimed_role = Metadata(context, kRoleMetadataKey);
  const std::shared_ptr<const grpc::AuthContext> auth = context.auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return peer;
  const std::vector<grpc::string_ref> pem =
      auth->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
  if (pem.size() == 1) peer.certificate_pem.assign(pem[0].data(), pem[0].size());
  return peer;
}

}  // namespace fedwatt
