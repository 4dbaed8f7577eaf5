#pragma once

// "Did you mean": the nearest known name to a misspelt one.

#include <optional>
#include <span>
#include <string>

namespace fedwatt {

// The candidate with the fewest edits (insert, delete, replace, swap neighbours; ignoring case),
// the first of equals. If that takes more than a third of the name's length plus one, the first
// candidate that the name abbreviates ("warn" for "warning"), else none.
std::optional<std::string> NearestName(const std::string& name,
                                       std::span<const std::string> candidates);

// To append to an error message: `; did you mean "rounds"?`, else `; known: a, b, c` (at most
// twelve), else "".
std::string DidYouMean(const std::string& name, std::span<const std::string> candidates);

}  // namespace fedwatt
