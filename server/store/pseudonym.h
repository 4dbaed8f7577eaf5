#pragma once

// The name under which the store knows a client: who holds a copy of the database, but not the
// population key, cannot tell whose rows they are.

#include <string>

namespace fedwatt {

// 32 hexadecimal digits: the first half of HMAC-SHA256(population_key, tenant, population,
// subject), each part preceded by its length, so that no two triples share a message. The key is
// the same for as long as the database lives. Thread-safe.
std::string Pseudonym(const std::string& population_key, const std::string& tenant,
                      const std::string& population, const std::string& subject);

}  // namespace fedwatt
