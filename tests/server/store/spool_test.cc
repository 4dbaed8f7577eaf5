#include "server/store/spool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/common/base/temp_dir.h"
#include "tests/server/store/child_process.h"

namespace fedwatt {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr char kId[] = "job-1/r1/a1/0";

std::string Content(size_t size) {
  std::string text(size, '\0');
  for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 131 + i / 251);
  return text;
}

ByteSpan Part(const std::string& text, size_t from, size_t to) {
  return AsBytes(std::string_view(text).substr(from, to - from));
}

class SpoolTest : public testing::Test {
 protected:
  ~SpoolTest() override { SetWriteFaultForTest({}); }

  void Restart(uint64_t max_bytes = 1'000'000) {
    spool_.reset();
    spool_ = *OpenSpool({.dir = dir_.path(), .max_bytes = max_bytes});
  }

  void Upload(const std::string& id, const std::string& content) {
    const auto upload = *spool_->Open(id, Sha256Of(AsBytes(content)), content.size());
    ASSERT_TRUE(upload->Append(0, AsBytes(content)).ok());
    ASSERT_TRUE(upload->Finish().ok());
  }

  std::string ReadAll(const std::string& id, const std::string& content) {
    const auto update = spool_->Read(id, Sha256Of(AsBytes(content)));
    if (!update.ok()) return update.status().ToString();
    std::string bytes((*update)->size(), '\0');
    const absl::Status status =
        (*update)->ReadAt(0, {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
    return status.ok() ? bytes : status.ToString();
  }

  void ExpectNothingAfterARestart() {
    Restart();
    EXPECT_EQ(spool_->Offset(kId, hash_), 0u);
    EXPECT_EQ(spool_->bytes_reserved(), 0u);
    EXPECT_THAT(*ListDir(dir_.path()), IsEmpty());
  }

  std::string OnlyFile() {
    const auto names = *ListDir(dir_.path());
    EXPECT_THAT(names, SizeIs(1));
    return dir_.File(names[0]);
  }

  TempDir dir_;
  const std::string content_ = Content(1000);
  const Digest hash_ = Sha256Of(AsBytes(content_));
  std::unique_ptr<Spool> spool_ = *OpenSpool({.dir = dir_.path(), .max_bytes = 1'000'000});
};

TEST_F(SpoolTest, TakesAnUploadInPieces) {
  const auto upload = *spool_->Open(kId, hash_, 1000);
  EXPECT_EQ(upload->offset(), 0u);
  ASSERT_TRUE(upload->Append(0, Part(content_, 0, 400)).ok());
  EXPECT_EQ(spool_->Offset(kId, hash_), 400u);
  ASSERT_TRUE(upload->Append(400, {}).ok());
  ASSERT_TRUE(upload->Append(400, Part(content_, 400, 1000)).ok());
  EXPECT_EQ(spool_->Read(kId, hash_).status().code(), absl::StatusCode::kNotFound)
      << "not before Finish";
  ASSERT_TRUE(upload->Finish().ok());
  EXPECT_EQ(ReadAll(kId, content_), content_);
  EXPECT_TRUE(upload->Finish().ok()) << "again changes nothing";
}

TEST_F(SpoolTest, ReadsAnyPieceOfAnUpdate) {
  Upload(kId, content_);
  const auto update = *spool_->Read(kId, hash_);
  uint8_t piece[10];
  ASSERT_TRUE(update->ReadAt(500, piece).ok());
  EXPECT_EQ(AsText(piece), content_.substr(500, 10));
  EXPECT_EQ(update->ReadAt(991, piece).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(update->ReadAt(UINT64_MAX, piece).code(), absl::StatusCode::kOutOfRange);
}

TEST_F(SpoolTest, AnUpdateOfNoBytesIsOne) {
  const auto upload = *spool_->Open(kId, Sha256Of({}), 0);
  ASSERT_TRUE(upload->Finish().ok());
  EXPECT_EQ((*spool_->Read(kId, Sha256Of({})))->size(), 0u);
  Restart();
  EXPECT_EQ((*spool_->Read(kId, Sha256Of({})))->size(), 0u);
}

TEST_F(SpoolTest, RefusesAPieceElsewhereThanAtTheOffset) {
  const auto upload = *spool_->Open(kId, hash_, 1000);
  ASSERT_TRUE(upload->Append(0, Part(content_, 0, 400)).ok());
  for (const uint64_t offset : {uint64_t{0}, uint64_t{399}, uint64_t{401}, UINT64_MAX}) {
    const absl::Status status = upload->Append(offset, Part(content_, 0, 10));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("400"), HasSubstr(kId)));
  }
  EXPECT_EQ(upload->offset(), 400u);
}

TEST_F(SpoolTest, RefusesMoreThanWasDeclared) {
  const auto upload = *spool_->Open(kId, hash_, 999);
  EXPECT_EQ(upload->Append(0, AsBytes(content_)).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(upload->offset(), 0u);
}

TEST_F(SpoolTest, AWrongHashDropsTheFile) {
  const auto upload = *spool_->Open(kId, Digest{}, 1000);
  ASSERT_TRUE(upload->Append(0, AsBytes(content_)).ok());
  const absl::Status status = upload->Finish();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr(DigestHex(hash_)));
  EXPECT_EQ(spool_->bytes_reserved(), 0u);
  EXPECT_EQ(upload->Append(1000, {}).code(), absl::StatusCode::kAborted);
  ExpectNothingAfterARestart();
}

TEST_F(SpoolTest, FinishingTooEarlyDropsTheFile) {
  const auto upload = *spool_->Open(kId, hash_, 1000);
  ASSERT_TRUE(upload->Append(0, Part(content_, 0, 999)).ok());
  EXPECT_EQ(upload->Finish().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(spool_->Offset(kId, hash_), 0u);
  ExpectNothingAfterARestart();
}

// ---- cut uploads

TEST_F(SpoolTest, ACutUploadGoesOnWhereItStopped) {
  {
    const auto upload = *spool_->Open(kId, hash_, 1000);
    ASSERT_TRUE(upload->Append(0, Part(content_, 0, 900)).ok());
  }
  const auto upload = *spool_->Open(kId, hash_, 1000);
  EXPECT_EQ(upload->offset(), 900u);
  ASSERT_TRUE(upload->Append(900, Part(content_, 900, 1000)).ok());
  ASSERT_TRUE(upload->Finish().ok());
  EXPECT_EQ(ReadAll(kId, content_), content_);
}

TEST_F(SpoolTest, AlsoAfterARestart) {
  {
    const auto upload = *spool_->Open(kId, hash_, 1000);
    ASSERT_TRUE(upload->Append(0, Part(content_, 0, 900)).ok());
  }
  Restart();
  EXPECT_EQ(spool_->Offset(kId, hash_), 900u);
  EXPECT_EQ(spool_->bytes_reserved(), 1000u);
  const auto upload = *spool_->Open(kId, hash_, 1000);
  ASSERT_TRUE(upload->Append(900, Part(content_, 900, 1000)).ok());
  ASSERT_TRUE(upload->Finish().ok());
  EXPECT_EQ(ReadAll(kId, content_), content_);
}

TEST_F(SpoolTest, ARestartBetweenTheLastByteAndFinishLosesNothing) {
  {
    const auto upload = *spool_->Open(kId, hash_, 1000);
    ASSERT_TRUE(upload->Append(0, AsBytes(content_)).ok());
  }
  Restart();
  ASSERT_TRUE((*spool_->Open(kId, hash_, 1000))->Finish().ok());
  EXPECT_EQ(ReadAll(kId, content_), content_);
}

TEST_F(SpoolTest, ACompleteUploadIsCompleteAfterARestart) {
  Upload(kId, content_);
  Restart();
  EXPECT_EQ(ReadAll(kId, content_), content_);
  const auto upload = *spool_->Open(kId, hash_, 1000);
  EXPECT_EQ(upload->offset(), 1000u);
  EXPECT_TRUE(upload->Finish().ok());
}

TEST_F(SpoolTest, AnAlteredFileOfAnEarlierProcessIsNotBelieved) {
  Upload(kId, content_);
  const std::string path = OnlyFile();
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file << '!';
  }
  Restart();
  EXPECT_EQ(spool_->Read(kId, hash_).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(spool_->Offset(kId, hash_), 0u) << "send it again";
  EXPECT_EQ(spool_->bytes_reserved(), 0u);
  Upload(kId, content_);
  EXPECT_EQ(ReadAll(kId, content_), content_);
}

TEST_F(SpoolTest, AFileThatIsNotOursIsRemovedAtTheStart) {
  Upload(kId, content_);
  ASSERT_TRUE(WriteFileAtomic(dir_.File("17.upload"), "too short").ok());
  ASSERT_TRUE(WriteFileAtomic(dir_.File("18.upload"), std::string(5000, 'x')).ok());
  Restart();
  EXPECT_THAT(*ListDir(dir_.path()), SizeIs(1));
  EXPECT_EQ(ReadAll(kId, content_), content_);
}

TEST_F(SpoolTest, AnotherHashOrSizeStartsAfresh) {
  const auto old = *spool_->Open(kId, hash_, 1000);
  ASSERT_TRUE(old->Append(0, Part(content_, 0, 500)).ok());
  const std::string other = Content(600).substr(100);
  const auto upload = *spool_->Open(kId, Sha256Of(AsBytes(other)), other.size());
  EXPECT_EQ(upload->offset(), 0u);
  EXPECT_EQ(spool_->bytes_reserved(), 500u);
  EXPECT_EQ(spool_->Offset(kId, hash_), 0u);
  ASSERT_TRUE(upload->Append(0, AsBytes(other)).ok());
  EXPECT_EQ(old->Append(500, Part(content_, 500, 1000)).code(), absl::StatusCode::kAborted);
  ASSERT_TRUE(upload->Finish().ok());
  EXPECT_EQ(ReadAll(kId, other), other);
}

TEST_F(SpoolTest, ANewerStreamClosesTheOlder) {
  const auto older = *spool_->Open(kId, hash_, 1000);
  ASSERT_TRUE(older->Append(0, Part(content_, 0, 300)).ok());
  const auto newer = *spool_->Open(kId, hash_, 1000);
  EXPECT_EQ(older->Append(300, Part(content_, 300, 400)).code(), absl::StatusCode::kAborted);
  EXPECT_EQ(older->Finish().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(newer->offset(), 300u);
  ASSERT_TRUE(newer->Append(300, Part(content_, 300, 1000)).ok());
  ASSERT_TRUE(newer->Finish().ok());
}

// ---- room

TEST_F(SpoolTest, ReservesTheDeclaredSizeAtOnce) {
  Restart(2500);
  const auto first = *spool_->Open("a", hash_, 1000);
  const auto second = *spool_->Open("b", hash_, 1000);
  EXPECT_EQ(spool_->bytes_reserved(), 2000u);
  const absl::Status status = spool_->Open("c", hash_, 1000).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("2500"), HasSubstr("2000"), HasSubstr("try again")));
  EXPECT_TRUE(spool_->Open("a", hash_, 1000).ok()) << "has its room already";
  spool_->Remove("a");
  EXPECT_TRUE(spool_->Open("c", hash_, 1000).ok());
  EXPECT_EQ(spool_->Open("d", hash_, UINT64_MAX).status().code(),
            absl::StatusCode::kInvalidArgument);
}

TEST_F(SpoolTest, WithoutALimitMostOfTheDiskIsIt) {
  Restart(0);
  const uint64_t free = *FreeDiskBytes(dir_.path());
  EXPECT_TRUE(spool_->Open("a", hash_, std::min<uint64_t>(free / 2, 1 << 30)).ok());
}

TEST_F(SpoolTest, AFullDiskFailsThePieceAndItCanBeSentAgain) {
  const auto upload = *spool_->Open(kId, hash_, 1000);
  SetWriteFaultForTest([](const std::string&, uint64_t) { return ENOSPC; });
  EXPECT_EQ(upload->Append(0, Part(content_, 0, 500)).code(), absl::StatusCode::kResourceExhausted);
  SetWriteFaultForTest({});
  ASSERT_TRUE(upload->Append(0, Part(content_, 0, 500)).ok());
  SetWriteFaultForTest([](const std::string&, uint64_t) { return ENOSPC; });
  EXPECT_EQ(upload->Append(500, Part(content_, 500, 1000)).code(),
            absl::StatusCode::kResourceExhausted);
  SetWriteFaultForTest({});
  EXPECT_EQ(upload->offset(), 500u);
  ASSERT_TRUE(upload->Append(500, Part(content_, 500, 1000)).ok());
  ASSERT_TRUE(upload->Finish().ok());
  EXPECT_EQ(ReadAll(kId, content_), content_);
}

// ---- removal

TEST_F(SpoolTest, RemoveDropsTheFileAndSparesWhoReads) {
  Upload(kId, content_);
  const auto update = *spool_->Read(kId, hash_);
  spool_->Remove(kId);
  spool_->Remove(kId);
  EXPECT_EQ(spool_->bytes_reserved(), 0u);
  EXPECT_THAT(*ListDir(dir_.path()), IsEmpty());
  EXPECT_EQ(spool_->Read(kId, hash_).status().code(), absl::StatusCode::kNotFound);
  uint8_t piece[10];
  EXPECT_TRUE(update->ReadAt(0, piece).ok());
}

TEST_F(SpoolTest, RemoveClosesTheUploadInProgress) {
  const auto upload = *spool_->Open(kId, hash_, 1000);
  ASSERT_TRUE(upload->Append(0, Part(content_, 0, 500)).ok());
  spool_->Remove(kId);
  EXPECT_EQ(upload->Append(500, Part(content_, 500, 1000)).code(), absl::StatusCode::kAborted);
  ExpectNothingAfterARestart();
}

TEST_F(SpoolTest, FilesAreUsedAgain) {
  for (int round = 0; round < 10; ++round) {
    for (int i = 0; i < 5; ++i) {
      const std::string content = Content(1000 - round * 50 - i);
      const std::string id = absl::StrCat("job/r", round, "/a1/", i);
      Upload(id, content);
      EXPECT_EQ(ReadAll(id, content), content);
    }
    if (round == 5) {
      // A file that once held more ends where the smaller update in it ends.
      const std::string last = Content(1000 - 5 * 50 - 4);
      Restart();
      EXPECT_EQ(ReadAll("job/r5/a1/4", last), last);
    }
    for (int i = 0; i < 5; ++i) spool_->Remove(absl::StrCat("job/r", round, "/a1/", i));
  }
  EXPECT_THAT(*ListDir(dir_.path()), SizeIs(5));
  Restart();
  EXPECT_THAT(*ListDir(dir_.path()), IsEmpty());
}

TEST_F(SpoolTest, AFileThatIsBeingReadIsNotUsedAgain) {
  Upload("a", content_);
  const auto update = *spool_->Read("a", hash_);
  spool_->Remove("a");
  Upload("b", Content(2000).substr(1000));
  std::string bytes(1000, '\0');
  ASSERT_TRUE(update->ReadAt(0, {reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()}).ok());
  EXPECT_EQ(bytes, content_);
}

TEST_F(SpoolTest, AStreamOfARemovedUploadCannotWriteIntoTheNext) {
  const auto old = *spool_->Open("a", hash_, 1000);
  ASSERT_TRUE(old->Append(0, Part(content_, 0, 500)).ok());
  spool_->Remove("a");
  const auto next = *spool_->Open("b", hash_, 1000);
  ASSERT_TRUE(next->Append(0, Part(content_, 0, 500)).ok());
  EXPECT_EQ(old->Append(500, Part(content_, 500, 1000)).code(), absl::StatusCode::kAborted);
  ASSERT_TRUE(next->Append(500, Part(content_, 500, 1000)).ok());
  EXPECT_TRUE(next->Finish().ok());
}

TEST_F(SpoolTest, InAFileThatIsUsedAgainACutUploadGoesOnWhereItStopped) {
  const std::string before = Content(5000);
  Upload("before", before);
  spool_->Remove("before");
  EXPECT_THAT(*ListDir(dir_.path()), SizeIs(1));
  auto upload = *spool_->Open(kId, hash_, 1000);
  ASSERT_TRUE(upload->Append(0, Part(content_, 0, 300)).ok());
  ASSERT_TRUE(upload->Append(300, Part(content_, 300, 600)).ok());
  upload.reset();
  EXPECT_LE(*FileSize(OnlyFile()), 1000u + 512) << "no more of the disk than was declared";
  Restart();
  EXPECT_EQ(spool_->Offset(kId, hash_), 600u) << "not the length of the file";
  upload = *spool_->Open(kId, hash_, 1000);
  ASSERT_TRUE(upload->Append(600, Part(content_, 600, 1000)).ok());
  ASSERT_TRUE(upload->Finish().ok());
  EXPECT_EQ(ReadAll(kId, content_), content_);
}

TEST_F(SpoolTest, LargeFilesAreRemovedAtOnce) {
  const std::string large = Content((64 << 20) + 1);
  Restart(100'000'000);
  Upload(kId, large);
  spool_->Remove(kId);
  EXPECT_THAT(*ListDir(dir_.path()), IsEmpty());
}

TEST_F(SpoolTest, SweepKeepsWhatIsStillWanted) {
  Upload("a", content_);
  Upload("b", content_);
  Restart();
  spool_->Sweep([](const std::string& id) { return id == "b"; });
  EXPECT_EQ(spool_->Offset("a", hash_), 0u);
  EXPECT_EQ(ReadAll("b", content_), content_);
  EXPECT_EQ(spool_->bytes_reserved(), 1000u);
}

TEST_F(SpoolTest, RefusesIdsThatDoNotFitTheHeader) {
  EXPECT_EQ(spool_->Open("", hash_, 1).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(spool_->Open(std::string(129, 'x'), hash_, 1).status().code(),
            absl::StatusCode::kInvalidArgument);
  Upload(std::string(128, 'x'), content_);
  Upload("../../etc/passwd", content_);
  Restart();
  EXPECT_EQ(ReadAll(std::string(128, 'x'), content_), content_);
  EXPECT_EQ(ReadAll("../../etc/passwd", content_), content_);
}

TEST_F(SpoolTest, ManyStreamsAtOnce) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this, t] {
      for (int i = 0; i < 30; ++i) {
        const std::string id = absl::StrCat("job/r1/a1/", t * 100 + i);
        Upload(id, content_);
        // Two threads fight for one upload: each piece is in order or refused.
        const auto shared = spool_->Open("shared", hash_, 1000);
        if (shared.ok()) {
          const uint64_t offset = (*shared)->offset();
          if (offset < 1000) {
            (*shared)->Append(offset, Part(content_, offset, offset + 1)).IgnoreError();
          }
        }
        EXPECT_EQ(ReadAll(id, content_), content_);
        if (i % 2 == 0) spool_->Remove(id);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  const auto shared = *spool_->Open("shared", hash_, 1000);
  ASSERT_TRUE(shared->Append(shared->offset(), Part(content_, shared->offset(), 1000)).ok());
  EXPECT_TRUE(shared->Finish().ok());
}

// ---- in memory

class HeldUpdates : public testing::Test {
 protected:
  std::unique_ptr<SpooledUpdate> Hold(std::string content) { return spool_->Hold(&content); }

  TempDir dir_;
  std::unique_ptr<Spool> spool_ =
      *OpenSpool({.dir = dir_.path(), .max_bytes = 1'000'000, .max_memory_bytes = 1000});
};

TEST_F(HeldUpdates, AreReadFromMemoryAndWriteNoFile) {
  const std::string content = Content(600);
  const auto update = Hold(content);
  ASSERT_NE(update, nullptr);
  EXPECT_EQ(update->size(), 600u);
  EXPECT_EQ(AsText(update->bytes()), content);
  std::string part(100, '\0');
  ASSERT_TRUE(update->ReadAt(500, {reinterpret_cast<uint8_t*>(part.data()), 100}).ok());
  EXPECT_EQ(part, content.substr(500));
  EXPECT_EQ(update->ReadAt(501, {reinterpret_cast<uint8_t*>(part.data()), 100}).code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_EQ(update->ReadAt(601, {}).code(), absl::StatusCode::kOutOfRange);
  EXPECT_EQ(spool_->bytes_in_memory(), 600u);
  EXPECT_EQ(spool_->bytes_reserved(), 0u);
  EXPECT_THAT(*ListDir(dir_.path()), IsEmpty());
}

TEST_F(HeldUpdates, CountUntilTheLastReaderIsGoneAndBeyondTheBoundStayWithTheCaller) {
  std::shared_ptr<const SpooledUpdate> first = Hold(Content(600));
  const auto second = Hold(Content(400));
  ASSERT_NE(second, nullptr);
  std::string third = Content(1);
  EXPECT_EQ(spool_->Hold(&third), nullptr);
  EXPECT_EQ(third, Content(1)) << "it has to go to a file";
  const std::shared_ptr<const SpooledUpdate> reader = first;
  first.reset();
  EXPECT_EQ(spool_->bytes_in_memory(), 1000u);
  EXPECT_EQ(spool_->Hold(&third), nullptr);
}

TEST_F(HeldUpdates, GiveTheirMemoryBackAlsoAfterTheSpool) {
  auto update = Hold(Content(1000));
  update.reset();
  EXPECT_EQ(spool_->bytes_in_memory(), 0u);
  update = Hold(Content(1000));
  spool_.reset();
  EXPECT_EQ(AsText(update->bytes()), Content(1000));
}

TEST_F(HeldUpdates, ThreadsNeverHoldMoreThanTheBound) {
  std::atomic<bool> over{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        const auto update = Hold(std::string(400, 'x'));
        if (spool_->bytes_in_memory() > 1000) over = true;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(over);
  EXPECT_EQ(spool_->bytes_in_memory(), 0u);
}

TEST(Spool, HoldsNothingUnlessToldHowMuch) {
  const TempDir dir;
  const auto spool = *OpenSpool({.dir = dir.path()});
  std::string content = Content(1);
  EXPECT_EQ(spool->Hold(&content), nullptr);
}

TEST(SpoolCrash, KilledAtAnyMomentAnUploadGoesOnAtItsOffset) {
  const TempDir dir;
  const std::string content = Content(4'000'000);
  const Digest hash = Sha256Of(AsBytes(content));
  uint64_t sent = 0;
  bool finished = false;
  for (uint32_t run = 1; run <= 40 && !finished; ++run) {
    ChildProcess child([&](int fd) {
      const auto spool = *OpenSpool({.dir = dir.path()});
      const auto upload = *spool->Open(kId, hash, content.size());
      for (uint64_t at = upload->offset(); at < content.size(); at = upload->offset()) {
        const uint64_t end = std::min<uint64_t>(content.size(), at + 50'000);
        if (!upload->Append(at, Part(content, at, end)).ok()) _exit(1);
        Acknowledge(fd, static_cast<uint32_t>(end));
      }
      if (!upload->Finish().ok()) _exit(1);
    });
    uint32_t ack = 0;
    uint32_t held = 0;
    for (uint32_t i = 0; i < 3 + run % 5 && child.Next(&ack); ++i) held = ack;
    child.Kill();
    while (child.Next(&ack)) held = ack;
    const auto spool = *OpenSpool({.dir = dir.path()});
    EXPECT_GE(spool->Offset(kId, hash), held) << "an accepted piece is never sent again";
    EXPECT_GE(spool->Offset(kId, hash), sent);
    sent = spool->Offset(kId, hash);
    finished = spool->Read(kId, hash).ok();
  }
  EXPECT_TRUE(finished);
}

}  // namespace
}  // namespace fedwatt
