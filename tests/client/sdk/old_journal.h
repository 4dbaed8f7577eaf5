#pragma once

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/sdk/assignment_store.h"
#include "common/base/bytes.h"
#include "common/base/file.h"
#include "common/crypto/sha256.h"
#include "gtest/gtest.h"

namespace fedwatt {

// What versions before FWJOURN2 wrote: "FWJOURN1", SHA-256 of the rest, and an entry's body with
// one number more behind the second, which said that the bundle had come inline.
inline std::string OldJournal(const KeptAssignment& record) {
  constexpr size_t kLengthAndHash = 8 + 32;
  const std::string entry = EncodeEntry(record, true).substr(kLengthAndHash);
  const std::string body =
      entry.substr(0, 16) + std::string("\1\0\0\0\0\0\0\0", 8) + entry.substr(16);
  const Digest hash = Sha256Of(AsBytes(body));
  return absl::StrCat("FWJOURN1", std::string(AsText(hash)), body);
}

// Turns the files of one assignment into the folder that such a version had.
inline void MakeOld(const AssignmentStore& store, const KeptAssignment& record) {
  const std::string journal = store.JournalPath(record.assignment.id);
  const std::string base = journal.substr(0, journal.size() - std::string(".journal").size());
  ASSERT_TRUE(EnsureDir(base, 0700).ok());
  for (const std::string file : {"model", "delta", "update", "residual"}) {
    const std::string path = absl::StrCat(base, ".", file);
    if (FileExists(path)) {
      ASSERT_TRUE(RenameFile(path, absl::StrCat(base, "/", file)).ok());
    }
  }
  ASSERT_TRUE(WriteFileAtomic(base + "/journal", OldJournal(record)).ok());
  ASSERT_TRUE(WriteFileAtomic(base + "/bundle", "a bundle").ok());
  ASSERT_TRUE(RemoveIfExists(journal).ok());
}

}  // namespace fedwatt
