#pragma once

#include <cstdint>
#include <string>
#include <thread>

#include "common/base/mutex.h"
#include "common/crypto/x509.h"

namespace fedwatt {

// A web server on loopback that gives every request the same answer, over TLS when it is given a
// key. Serves one connection at a time, until destruction.
class OneAnswerServer {
 public:
  // What goes out as it stands, status line and all. Empty: accept and never answer.
  static std::string Ok(const std::string& body);
  static std::string Status(int status);

  explicit OneAnswerServer(std::string answer, const CertifiedKey* key = nullptr);
  ~OneAnswerServer();

  uint16_t port() const { return port_; }
  // "http://127.0.0.1:PORT", or https.
  std::string url() const;
  void SetAnswer(const std::string& answer);
  std::string last_request() const;
  int requests() const;

 private:
  void Serve();
  void ServeOne(int connection);

  int listener_ = -1;
  uint16_t port_ = 0;
  const CertifiedKey* const key_;
  mutable Mutex mutex_;
  std::string answer_ ABSL_GUARDED_BY(mutex_);
  std::string last_request_ ABSL_GUARDED_BY(mutex_);
  int requests_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace fedwatt
