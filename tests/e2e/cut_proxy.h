#pragma once

// A network between clients and the coordinator that counts bytes, stops, and breaks: a TCP proxy
// on loopback. TLS passes through it unread.
//
//   CutProxy proxy(coordinator_port);
//   proxy.HoldAfter(CutProxy::kUp, 3'000'000);   // clients may send so much, then nothing moves
//   ASSERT_TRUE(WaitUntil("the upload", [&] { return proxy.holding(CutProxy::kUp); }));
//   proxy.Cut();                                 // all connections end, what passed has arrived
//   proxy.Release();
//
// Where there is no TLS, it can also be asked what passed.

#include <array>
#include <cstdint>
#include <list>
#include <string>
#include <thread>

#include "common/base/mutex.h"

namespace fedwatt::e2e {

// Thread-safe. One thread of its own moves the bytes.
class CutProxy {
 public:
  enum Direction { kUp = 0, kDown = 1 };  // client to coordinator, and back

  explicit CutProxy(uint16_t coordinator_port);
  ~CutProxy();
  CutProxy(const CutProxy&) = delete;
  CutProxy& operator=(const CutProxy&) = delete;

  uint16_t port() const { return port_; }
  std::string address() const;

  // Bytes that entered the proxy in this direction, over all connections and since its start.
  uint64_t bytes(Direction direction) const;

  // From now on keeps a copy of everything that passes, one text for each direction; between
  // connections there is a mark, so that no run of bytes is of two.
  void Capture();
  std::string captured(Direction direction) const;

  // Lets bytes() grow to `total` and no further, until Release.
  void HoldAfter(Direction direction, uint64_t total);
  bool holding(Direction direction) const;
  void Release();

  // Ends every connection. The coordinator still reads what has passed, the client nothing more.
  void Cut();

 private:
  struct Connection {
    std::array<int, 2> from{-1, -1};  // by direction: where bytes come from
    std::array<bool, 2> ended{};      // nothing more comes from there
    int client() const { return from[kUp]; }
    int coordinator() const { return from[kDown]; }
  };

  void Run();
  void Accept();
  // Moves what is there; false once the connection is over.
  bool Pump(Connection& connection);
  bool PumpOne(Connection& connection, Direction direction);
  uint64_t Allowance(Direction direction) const;
  void CutAll();

  const uint16_t coordinator_port_;
  int listener_ = -1;
  int wake_ = -1;
  uint16_t port_ = 0;
  std::list<Connection> connections_;  // of the thread

  mutable Mutex mutex_;
  std::array<uint64_t, 2> bytes_ ABSL_GUARDED_BY(mutex_){};
  bool capturing_ ABSL_GUARDED_BY(mutex_) = false;
  std::array<std::string, 2> captured_ ABSL_GUARDED_BY(mutex_);
  std::array<int, 2> captured_from_ ABSL_GUARDED_BY(mutex_){-1, -1};
  std::array<uint64_t, 2> limit_ ABSL_GUARDED_BY(mutex_){UINT64_MAX, UINT64_MAX};
  uint64_t cuts_wanted_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t cuts_done_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;
};

}  // namespace fedwatt::e2e
