// What an app compiles and links against: headers that need nothing of ours or of gRPC, and a
// library that shows the functions of fedwatt.h, each with its mark, and nothing else.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "common/base/file.h"
#include "tests/common/base/temp_dir.h"
#include "tests/e2e/program.h"

namespace fedwatt::e2e {
namespace {

using ::testing::ContainerEq;
using ::testing::IsEmpty;
using ::testing::Not;

using Marks = std::map<std::string, std::string>;  // by function

std::string Folder() { return FEDWATT_SOURCE_DIR "/client/include/fedwatt"; }

std::vector<std::string> Headers() {
  std::vector<std::string> headers;
  for (const std::string folder : {"", "detail/"}) {
    const std::vector<std::string> names = ListDir(Folder() + "/" + folder).value();
    for (const std::string& name : names) {
      if (name.ends_with(".h")) headers.push_back(folder + name);
    }
  }
  return headers;
}

std::string Text(const std::string& path) { return ReadFile(path, 1 << 20).value(); }

// A header, the library that has its functions, and their reviewed list: "stable fedwatt_x" a line.
struct Library {
  std::string header;
  std::string file;
  std::string list;
};
const Library kLibraries[] = {
    {"fedwatt.h", "libfedwatt_client.so", "symbols.txt"},
    {"portable.h", "libfedwatt_trainer_portable.so", "portable_symbols.txt"},
    {"torch_in_process.h", "libfedwatt_trainer_torch_in_process.so",
     "torch_in_process_symbols.txt"},
};

Marks Golden(const std::string& list) {
  Marks marks;
  std::istringstream text(Text(FEDWATT_SOURCE_DIR "/tests/client/capi/" + list));
  for (std::string mark, name; text >> mark >> name;) marks[name] = mark;
  return marks;
}

TEST(PublicHeaders, IncludeTheStandardLibraryAndEachOtherAlone) {
  const std::regex include(R"(^\s*#\s*include\s*[<"]([^>"]+)[>"])");
  ASSERT_THAT(Headers(), Not(IsEmpty()));
  for (const std::string& header : Headers()) {
    std::istringstream text(Text(Folder() + "/" + header));
    for (std::string line; std::getline(text, line);) {
      std::smatch found;
      if (!std::regex_search(line, found, include)) continue;
      const std::string target = found[1];
      // What is left has no folder: <vector>, <stdint.h>.
      EXPECT_TRUE(target.starts_with("fedwatt/") || target.find('/') == std::string::npos)
          << header << " includes " << target;
    }
  }
}

// Compiles a file that includes the header and nothing else.
Output Compile(const std::vector<std::string>& compiler, const std::string& header,
               const std::string& file) {
  const TempDir dir;
  const std::string source = dir.File(file);
  EXPECT_TRUE(WriteFileAtomic(source, absl::StrCat("#include <fedwatt/", header, ">\n")).ok());
  std::vector<std::string> argv = compiler;
  argv.insert(argv.end(), {"-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-isystem",
                           DirName(Folder()), source});
  return RunToEnd({.argv = argv, .timeout_ms = 120'000}, dir.path());
}

TEST(PublicHeaders, AreEachCompleteInThemselves) {
  for (const std::string& header : Headers()) {
    const Output cpp = Compile({"c++", "-std=c++20"}, header, "x.cc");
    EXPECT_EQ(cpp.code, 0) << header << "\n" << cpp.ToString();
  }
}

TEST(PublicHeaders, OfTheCInterfaceAreC99) {
  for (const Library& library : kLibraries) {
    const Output c = Compile({"cc", "-std=c99"}, library.header, "x.c");
    EXPECT_EQ(c.code, 0) << library.header << "\n" << c.ToString();
  }
}

TEST(PublicHeaders, MarkEveryFunction) {
  for (const Library& library : kLibraries) {
    const std::string text = Text(Folder() + "/" + library.header);
    const std::regex marked(R"(FEDWATT_(STABLE|UNSTABLE|DEPRECATED)\s[^;(]*?(fedwatt_\w+)\()");
    Marks marks;
    for (std::sregex_iterator it(text.begin(), text.end(), marked), end; it != end; ++it) {
      std::string mark = (*it)[1];
      for (char& letter : mark) letter = static_cast<char>(std::tolower(letter));
      marks[(*it)[2]] = mark;
    }
    EXPECT_THAT(marks, ContainerEq(Golden(library.list)))
        << "a new function, or another mark, is a decision: change tests/client/capi/"
        << library.list;
  }
}

TEST(PublicHeaders, NameAllThatTheLibraryShows) {
  const TempDir dir;
  for (const Library& library : kLibraries) {
    const Output nm = RunToEnd({.argv = {"nm", "-D", "--defined-only",
                                         absl::StrCat(DirName(BinDir()), "/lib/", library.file)}},
                               dir.path());
    ASSERT_EQ(nm.code, 0) << nm.ToString();
    std::map<std::string, std::string> shown;
    std::istringstream lines(nm.out);
    for (std::string line; std::getline(lines, line);) {
      std::istringstream fields(line);
      std::string address;
      std::string type;
      std::string name;
      fields >> address >> type >> name;
      if (type == "A") continue;  // the version's own name
      shown[name.substr(0, name.find('@'))] = type;
    }
    const Marks golden = Golden(library.list);
    for (const auto& [name, mark] : golden) EXPECT_EQ(shown[name], "T") << name;
    EXPECT_EQ(shown.size(), golden.size()) << nm.out;
  }
}

}  // namespace
}  // namespace fedwatt::e2e
