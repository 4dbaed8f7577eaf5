// libFuzzer's hooks. Flags with one dash are libFuzzer's; ours have two:
//   --list          prints the targets
//   --target=NAME   runs this one

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "tests/fuzz/fuzz_target.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace fedwatt::fuzz {
namespace {

// Where formats keep their counts and lengths.
constexpr size_t kFramingBytes = 48;

// A decoder may hold a block of coordinates and a stream's symbols, not what a count claims. The
// sanitizers' own memory is most of the second. Flags given by hand come later and win.
constexpr const char* kLimits[] = {"-malloc_limit_mb=32", "-rss_limit_mb=768", "-timeout=10",
                                   "-max_len=65536", "-len_control=0"};

std::vector<FuzzTarget> AllTargets() {
  std::vector<FuzzTarget> targets = CodecTargets();
  targets.push_back(CodecTextTarget());
  targets.push_back(GraphTarget());
  targets.push_back(SymbolTarget());
  targets.push_back(ModelStepTarget());
  for (FuzzTarget& target : WireTargets()) targets.push_back(std::move(target));
  return targets;
}

FuzzTarget& Chosen() {
  static auto* const target = new FuzzTarget;
  return *target;
}

bool Choose(const std::string& name) {
  for (FuzzTarget& target : AllTargets()) {
    if (target.name == name) Chosen() = std::move(target);
  }
  return Chosen().run != nullptr;
}

[[noreturn]] void ListAndExit() {
  for (const FuzzTarget& target : AllTargets()) std::printf("%s\n", target.name.c_str());
  std::exit(0);
}

// libFuzzer reads its arguments after this.
void InsertLimits(int* argc, char*** argv) {
  static auto* const arguments = new std::vector<char*>;
  arguments->push_back((*argv)[0]);
  for (const char* limit : kLimits) arguments->push_back(strdup(limit));
  for (int i = 1; i < *argc; ++i) arguments->push_back((*argv)[i]);
  *argc = static_cast<int>(arguments->size());
  arguments->push_back(nullptr);
  *argv = arguments->data();
}

size_t Mutate(std::span<uint8_t> buffer, size_t size, Rng& rng) {
  const uint64_t kind = rng.UniformInt(16);
  if (kind == 0 || size == 0) {
    const std::string fresh = Chosen().well_formed(rng);
    if (!fresh.empty() && fresh.size() <= buffer.size()) {
      std::memcpy(buffer.data(), fresh.data(), fresh.size());
      return fresh.size();
    }
  }
  if (kind < 6 && size > kFramingBytes) {
    // Changed in place: a string that grows would move all that follows.
    std::vector<uint8_t> framing(buffer.begin(), buffer.begin() + kFramingBytes);
    const size_t changed = LLVMFuzzerMutate(framing.data(), kFramingBytes, kFramingBytes);
    std::memcpy(buffer.data(), framing.data(), changed);
    return size;
  }
  return LLVMFuzzerMutate(buffer.data(), size, buffer.size());
}

}  // namespace

void Expect(bool holds, const std::string& property) {
  if (holds) return;
  std::fprintf(stderr, "%s: does not hold: %s\n", Chosen().name.c_str(), property.c_str());
  std::abort();
}

void ExpectOkOrRefused(const absl::Status& status) {
  Expect(status.ok() || status.code() == absl::StatusCode::kInvalidArgument,
         "a refusal is INVALID_ARGUMENT, not " + status.ToString());
}

}  // namespace fedwatt::fuzz

// What is freed stays poisoned, but not by the hundred megabytes: the limits are ours.
extern "C" const char* __asan_default_options() {
  return "quarantine_size_mb=16:allow_addr2line=1:allocator_may_return_null=1";
}

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr char kTarget[] = "--target=";
  for (int i = 1; i < *argc; ++i) {
    const std::string argument = (*argv)[i];
    if (argument == "--list") fedwatt::fuzz::ListAndExit();
    if (argument.rfind(kTarget, 0) == 0 &&
        !fedwatt::fuzz::Choose(argument.substr(sizeof(kTarget) - 1))) {
      std::fprintf(stderr, "no such target: %s (--list names them)\n", argument.c_str());
      std::exit(2);
    }
  }
  if (fedwatt::fuzz::Chosen().run == nullptr) {
    std::fprintf(stderr, "usage: fedwatt-fuzz --list | --target=NAME [libFuzzer's flags]\n");
    std::exit(2);
  }
  fedwatt::fuzz::InsertLimits(argc, argv);
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  fedwatt::fuzz::Chosen().run({data, size});
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned int seed) {
  fedwatt::Rng rng(fedwatt::RngKey{.purpose = "fuzz", .seed = seed});
  return fedwatt::fuzz::Mutate({data, max_size}, size, rng);
}
