#include "server/store/pseudonym.h"

#include "absl/strings/str_cat.h"
#include "common/base/bytes.h"
#include "common/crypto/hmac.h"

namespace fedwatt {

std::string Pseudonym(const std::string& population_key, const std::string& tenant,
                      const std::string& population, const std::string& subject) {
  const std::string message = absl::StrCat(tenant.size(), ":", tenant, population.size(), ":",
                                           population, subject.size(), ":", subject);
  return DigestHex(HmacSha256(AsBytes(population_key), AsBytes(message))).substr(0, 32);
}

}  // namespace fedwatt
