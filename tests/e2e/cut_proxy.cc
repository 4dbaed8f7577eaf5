#include "tests/e2e/cut_proxy.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/e2e/wait_until.h"

namespace fedwatt::e2e {
namespace {

constexpr int kPieceBytes = 16 * 1024;
// Small, so that what a sender has sent is what has passed here.
constexpr int kReceiveBufferBytes = 32 * 1024;

constexpr char kSeam[] = "\n--- another connection ---\n";

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void SetOption(int fd, int level, int name, int value) {
  EXPECT_EQ(setsockopt(fd, level, name, &value, sizeof(value)), 0);
}

bool WriteAll(int fd, const char* data, size_t size) {
  while (size > 0) {
    const ssize_t written = send(fd, data, size, MSG_NOSIGNAL);
    if (written <= 0) return false;
    data += written;
    size -= static_cast<size_t>(written);
  }
  return true;
}

// The peer sees a reset and drops what it has not read.
void CloseHard(int fd) {
  const linger now{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
  close(fd);
}

// The peer reads what is on its way and then the end: whatever it answers is thrown away.
void CloseSoft(int fd) {
  shutdown(fd, SHUT_WR);
  char dropped[kPieceBytes];
  pollfd wait{.fd = fd, .events = POLLIN};
  constexpr int kPatience = 1000;
  while (poll(&wait, 1, kPatience) == 1 && read(fd, dropped, sizeof(dropped)) > 0) {
  }
  close(fd);
}

}  // namespace

CutProxy::CutProxy(uint16_t coordinator_port) : coordinator_port_(coordinator_port) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  SetOption(listener_, SOL_SOCKET, SO_RCVBUF, kReceiveBufferBytes);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof(address);
  EXPECT_EQ(bind(listener_, reinterpret_cast<sockaddr*>(&address), size), 0);
  EXPECT_EQ(listen(listener_, SOMAXCONN), 0);
  EXPECT_EQ(getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Run(); });
}

CutProxy::~CutProxy() {
  {
    MutexLock lock(&mutex_);
    stop_ = true;
  }
  eventfd_write(wake_, 1);
  thread_.join();
  close(listener_);
  close(wake_);
}

std::string CutProxy::address() const { return absl::StrCat("127.0.0.1:", port_); }

uint64_t CutProxy::bytes(Direction direction) const {
  MutexLock lock(&mutex_);
  return bytes_[direction];
}

void CutProxy::HoldAfter(Direction direction, uint64_t total) {
  MutexLock lock(&mutex_);
  limit_[direction] = total;
  eventfd_write(wake_, 1);
}

void CutProxy::Capture() {
  MutexLock lock(&mutex_);
  capturing_ = true;
}

std::string CutProxy::captured(Direction direction) const {
  MutexLock lock(&mutex_);
  return captured_[direction];
}

bool CutProxy::holding(Direction direction) const {
  MutexLock lock(&mutex_);
  return bytes_[direction] >= limit_[direction];
}

void CutProxy::Release() {
  MutexLock lock(&mutex_);
  limit_ = {UINT64_MAX, UINT64_MAX};
  eventfd_write(wake_, 1);
}

void CutProxy::Cut() {
  uint64_t mine = 0;
  {
    MutexLock lock(&mutex_);
    mine = ++cuts_wanted_;
    eventfd_write(wake_, 1);
  }
  EXPECT_TRUE(WaitUntil("the cut", [this, mine] {
    MutexLock lock(&mutex_);
    return cuts_done_ >= mine;
  }));
}

uint64_t CutProxy::Allowance(Direction direction) const {
  MutexLock lock(&mutex_);
  return limit_[direction] - std::min(limit_[direction], bytes_[direction]);
}

void CutProxy::CutAll() {
  for (Connection& connection : connections_) {
    CloseHard(connection.client());
    CloseSoft(connection.coordinator());
  }
  connections_.clear();
}

void CutProxy::Accept() {
  Connection connection;
  connection.from[kUp] = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (connection.client() < 0) return;
  connection.from[kDown] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  SetOption(connection.coordinator(), SOL_SOCKET, SO_RCVBUF, kReceiveBufferBytes);
  const sockaddr_in address = Loopback(coordinator_port_);
  if (connect(connection.coordinator(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) != 0) {
    CloseHard(connection.client());
    close(connection.coordinator());
    return;
  }
  for (const int fd : connection.from) SetOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  connections_.push_back(connection);
}

bool CutProxy::PumpOne(Connection& connection, Direction direction) {
  const uint64_t allowed = Allowance(direction);
  if (allowed == 0 || connection.ended[direction]) return true;
  char piece[kPieceBytes];
  const ssize_t n = recv(connection.from[direction], piece,
                         std::min<uint64_t>(sizeof(piece), allowed), MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) {
    connection.ended[direction] = true;
    shutdown(connection.from[1 - direction], SHUT_WR);
    return !connection.ended[1 - direction];
  }
  {
    MutexLock lock(&mutex_);
    bytes_[direction] += static_cast<uint64_t>(n);
    if (capturing_) {
      const int from = connection.from[direction];
      if (std::exchange(captured_from_[direction], from) != from) captured_[direction] += kSeam;
      captured_[direction].append(piece, static_cast<size_t>(n));
    }
  }
  return WriteAll(connection.from[1 - direction], piece, static_cast<size_t>(n));
}

bool CutProxy::Pump(Connection& connection) {
  return PumpOne(connection, kUp) && PumpOne(connection, kDown);
}

void CutProxy::Run() {
  while (true) {
    {
      MutexLock lock(&mutex_);
      if (stop_) break;
    }
    std::vector<pollfd> waits = {{.fd = wake_, .events = POLLIN},
                                 {.fd = listener_, .events = POLLIN}};
    for (const Connection& connection : connections_) {
      for (const Direction direction : {kUp, kDown}) {
        const bool open = !connection.ended[direction] && Allowance(direction) > 0;
        waits.push_back({.fd = open ? connection.from[direction] : -1, .events = POLLIN});
      }
    }
    poll(waits.data(), waits.size(), -1);
    eventfd_t ignored;
    eventfd_read(wake_, &ignored);
    uint64_t cuts = 0;
    {
      MutexLock lock(&mutex_);
      cuts = cuts_wanted_ - cuts_done_;
    }
    if (cuts > 0) {
      CutAll();
      MutexLock lock(&mutex_);
      cuts_done_ += cuts;
    }
    if ((waits[1].revents & POLLIN) != 0) Accept();
    connections_.remove_if([this](Connection& connection) {
      if (Pump(connection)) return false;
      CloseHard(connection.client());
      CloseSoft(connection.coordinator());
      return true;
    });
  }
  CutAll();
}

}  // namespace fedwatt::e2e
