#include "common/base/memory_folder.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

constexpr std::string_view kPrefix = "memory:";
constexpr uint64_t kLeastShared = 1024;  // bytes
constexpr size_t kLeastSwept = 1024;     // entries

// All trees of the process; the count keeps the lock off everybody else's paths.
struct Forest {
  std::atomic<uint64_t> count{0};
  Mutex mutex;
  std::map<uint64_t, std::shared_ptr<MemoryTree>> trees ABSL_GUARDED_BY(mutex);
  uint64_t last ABSL_GUARDED_BY(mutex) = 0;
};

Forest& AllTrees() {
  static Forest forest;
  return forest;
}

// Dates: later changes have greater ones.
int64_t NextTick() {
  static std::atomic<int64_t> ticks{0};
  return ticks.fetch_add(1, std::memory_order_relaxed) + 1;
}

// Takes the path's next part.
std::string_view TakePart(std::string_view* rest) {
  const size_t slash = rest->find('/');
  const std::string_view part = rest->substr(0, slash);
  rest->remove_prefix(slash == std::string_view::npos ? rest->size() : slash + 1);
  return part;
}

// Of some of the bytes: whoever finds others by it compares them all.
size_t HashOfSome(std::string_view bytes) {
  constexpr size_t kBlock = 64;
  constexpr size_t kBlocks = 16;
  const size_t stride = std::max(bytes.size() / kBlocks, kBlock);
  const std::hash<std::string_view> hash_of;
  size_t hash = bytes.size();
  for (size_t at = 0; at < bytes.size(); at += stride) {
    hash = hash * 31 + hash_of(bytes.substr(at, kBlock));
  }
  return hash;
}

// What comes after "memory:N".
std::string_view BelowRoot(std::string_view path) {
  TakePart(&path);
  return path;
}

// Takes `name` out of a folder (null: there is none), unless `refusal` has an errno against it.
template <typename Folder, typename Refusal>
int EraseFrom(Folder* folder, std::string_view name, const Refusal& refusal) {
  if (folder == nullptr) return ENOENT;
  const auto found = folder->names.find(name);
  if (found == folder->names.end()) return ENOENT;
  const int refused = refusal(*found->second);
  if (refused == 0) folder->names.erase(found);
  return refused;
}

}  // namespace

MemoryFolder::MemoryFolder() {
  Forest& forest = AllTrees();
  MutexLock lock(&forest.mutex);
  number_ = ++forest.last;
  forest.trees[number_] = std::make_shared<MemoryTree>();
  forest.count.store(forest.trees.size());
  path_ = absl::StrCat(std::string(kPrefix), number_);
}

MemoryFolder::~MemoryFolder() {
  std::shared_ptr<MemoryTree> tree;  // goes when the lock is free again
  Forest& forest = AllTrees();
  MutexLock lock(&forest.mutex);
  tree = std::move(forest.trees[number_]);
  forest.trees.erase(number_);
  forest.count.store(forest.trees.size());
}

std::shared_ptr<MemoryTree> MemoryTree::Of(std::string_view path) {
  Forest& forest = AllTrees();
  if (forest.count.load(std::memory_order_relaxed) == 0) return nullptr;
  if (!path.starts_with(kPrefix)) return nullptr;
  path.remove_prefix(kPrefix.size());
  const std::string_view digits = TakePart(&path);
  uint64_t number = 0;
  const char* const end = digits.data() + digits.size();
  if (std::from_chars(digits.data(), end, number).ptr != end) return nullptr;
  MutexLock lock(&forest.mutex);
  const auto found = forest.trees.find(number);
  return found == forest.trees.end() ? nullptr : found->second;
}

// ---- one file

MemoryFile::MemoryFile()
    : number_(static_cast<uint64_t>(NextTick())), bytes_(std::make_shared<const std::string>()) {
  modified_ns_ = changed_ns_ = static_cast<int64_t>(number_);
}

FileInfo MemoryFile::Info() const {
  MutexLock lock(&mutex_);
  FileInfo info;
  info.is_file = true;
  info.bytes = bytes_->size();
  info.inode = number_;
  info.modified_ns = modified_ns_;
  info.changed_ns = changed_ns_;
  return info;
}

MemoryFile::Bytes MemoryFile::Hold() {
  MutexLock lock(&mutex_);
  is_held_ = true;
  return bytes_;
}

std::string MemoryFile::Read(uint64_t max_bytes) const {
  MutexLock lock(&mutex_);
  return bytes_->substr(0, max_bytes == UINT64_MAX ? max_bytes : max_bytes + 1);
}

void MemoryFile::Share(const Bytes& equal) {
  MutexLock lock(&mutex_);
  is_held_ = true;
  bytes_ = equal;
}

std::string* MemoryFile::Writable() {
  if (std::exchange(is_held_, false)) bytes_ = std::make_shared<const std::string>(*bytes_);
  modified_ns_ = changed_ns_ = NextTick();
  return const_cast<std::string*>(bytes_.get());  // nobody else has it
}

void MemoryFile::Write(uint64_t offset, ByteSpan data) {
  MutexLock lock(&mutex_);
  std::string* const bytes = Writable();
  if (offset > bytes->size()) bytes->resize(offset);
  const size_t replaced = std::min<size_t>(data.size(), bytes->size() - offset);
  bytes->replace(offset, replaced, reinterpret_cast<const char*>(data.data()), data.size());
}

void MemoryFile::Truncate(uint64_t size) {
  MutexLock lock(&mutex_);
  Writable()->resize(size);
}

void MemoryFile::SetModified(int64_t modified_ns) {
  MutexLock lock(&mutex_);
  modified_ns_ = modified_ns;
  changed_ns_ = NextTick();
}

// ---- names

const MemoryTree::Node* MemoryTree::Find(std::string_view path) const {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string_view::npos) return &root_;
  const Node* const folder = FindFolder(path.substr(0, slash));
  if (folder == nullptr || slash + 1 == path.size()) return folder;
  const auto found = folder->names.find(path.substr(slash + 1));
  return found == folder->names.end() ? nullptr : found->second.get();
}

const MemoryTree::Node* MemoryTree::FindFolder(std::string_view path) const {
  if (last_folder_ != nullptr && path == last_path_) return last_folder_;
  const Node* node = &root_;
  for (std::string_view rest = BelowRoot(path); !rest.empty();) {
    const std::string_view part = TakePart(&rest);
    if (part.empty()) continue;
    const auto found = node->names.find(part);
    if (found == node->names.end()) return nullptr;
    node = found->second.get();
  }
  if (node->file != nullptr) return nullptr;
  last_path_ = path;
  last_folder_ = node;
  return node;
}

MemoryTree::Node* MemoryTree::Parent(std::string_view path, std::string_view* name) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string_view::npos) return nullptr;
  *name = path.substr(slash + 1);
  return const_cast<Node*>(FindFolder(path.substr(0, slash)));
}

int MemoryTree::Inspect(std::string_view path, FileInfo* info) const {
  MutexLock lock(&mutex_);
  const Node* const node = Find(path);
  if (node == nullptr) return ENOENT;
  if (node->file == nullptr) {
    *info = FileInfo{.is_dir = true};
  } else {
    *info = node->file->Info();
  }
  return 0;
}

int MemoryTree::Open(std::string_view path, std::shared_ptr<MemoryFile>* file) const {
  MutexLock lock(&mutex_);
  const Node* const node = Find(path);
  if (node == nullptr) return ENOENT;
  if (node->file == nullptr) return EISDIR;
  *file = node->file;
  return 0;
}

int MemoryTree::Create(std::string_view path, std::shared_ptr<MemoryFile>* file) {
  MutexLock lock(&mutex_);
  std::string_view name;
  Node* const parent = Parent(path, &name);
  if (parent == nullptr) return ENOENT;
  std::unique_ptr<Node>& node = parent->names[std::string(name)];
  if (node == nullptr) {
    node = std::make_unique<Node>();
    node->file = std::make_shared<MemoryFile>();
  } else if (node->file == nullptr) {
    return EISDIR;
  } else {
    node->file->Truncate(0);
  }
  *file = node->file;
  return 0;
}

int MemoryTree::MakeDirs(std::string_view path) {
  MutexLock lock(&mutex_);
  Node* node = &root_;
  for (std::string_view rest = BelowRoot(path); !rest.empty();) {
    const std::string_view part = TakePart(&rest);
    if (part.empty()) continue;
    const auto found = node->names.find(part);
    if (found == node->names.end()) {
      node = (node->names[std::string(part)] = std::make_unique<Node>()).get();
    } else {
      node = found->second.get();
    }
    if (node->file != nullptr) return rest.empty() ? EEXIST : ENOTDIR;
  }
  return 0;
}

int MemoryTree::List(std::string_view path, std::vector<std::string>* names) const {
  MutexLock lock(&mutex_);
  const Node* const node = Find(path);
  if (node == nullptr) return ENOENT;
  if (node->file != nullptr) return ENOTDIR;
  for (const auto& [name, child] : node->names) names->push_back(name);
  std::sort(names->begin(), names->end());
  return 0;
}

int MemoryTree::Rename(std::string_view from, std::string_view to) {
  MutexLock lock(&mutex_);
  std::string_view old_name;
  std::string_view new_name;
  Node* const source = Parent(from, &old_name);
  Node* const target = Parent(to, &new_name);
  if (source == nullptr || target == nullptr) return ENOENT;
  const auto found = source->names.find(old_name);
  if (found == source->names.end()) return ENOENT;
  const auto replaced = target->names.find(new_name);
  const bool onto_folder = replaced != target->names.end() && replaced->second->file == nullptr;
  if (found->second->file == nullptr || onto_folder) return EISDIR;
  if (source == target && old_name == new_name) return 0;
  std::unique_ptr<Node> node = std::move(found->second);
  ShareBytes(node->file.get());
  source->names.erase(found);
  target->names[std::string(new_name)] = std::move(node);
  return 0;
}

int MemoryTree::Unlink(std::string_view path) {
  MutexLock lock(&mutex_);
  std::string_view name;
  Node* const folder = Parent(path, &name);
  return EraseFrom(folder, name,
                   [](const Node& node) { return node.file == nullptr ? EISDIR : 0; });
}

int MemoryTree::RemoveDir(std::string_view path) {
  MutexLock lock(&mutex_);
  std::string_view name;
  Node* const folder = Parent(path, &name);
  last_folder_ = nullptr;
  return EraseFrom(folder, name, [](const Node& node) {
    if (node.file != nullptr) return ENOTDIR;
    return node.names.empty() ? 0 : ENOTEMPTY;
  });
}

void MemoryTree::ShareBytes(MemoryFile* file) {
  if (file->Info().bytes < kLeastShared) return;
  const MemoryFile::Bytes bytes = file->Hold();
  std::weak_ptr<const std::string>& known = shared_[HashOfSome(*bytes)];
  const MemoryFile::Bytes other = known.lock();
  if (other == nullptr) {
    known = bytes;
  } else if (other != bytes && *other == *bytes) {
    file->Share(other);
  }
  if (shared_.size() < 2 * swept_ + kLeastSwept) return;
  std::erase_if(shared_, [](const auto& entry) { return entry.second.expired(); });
  swept_ = shared_.size();
}

void MemoryTree::RemoveTree(std::string_view path) {
  MutexLock lock(&mutex_);
  std::string_view name;
  Node* const parent = Parent(path, &name);
  if (parent == nullptr) return;
  const auto found = parent->names.find(name);
  if (found != parent->names.end()) parent->names.erase(found);
  last_folder_ = nullptr;
}

}  // namespace fedwatt
