#pragma once

// A certificate authority in a test's folder, with a certificate for whoever is needed.

#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/crypto/x509.h"
#include "common/transport/tls_credentials.h"
#include "tests/common/base/temp_dir.h"

namespace fedwatt {

class TestPki {
 public:
  TestPki() : now_ms_(SystemClock().NowMs()) {
    // Old enough to have issued certificates that have expired since.
    authority_ = CreateAuthority("test authority", now_ms_ - 30 * kMsPerDay, 90).value();
    Write("ca.pem", authority_.certificate_pem, 0644);
  }

  // Issued `age_days` ago and valid for one day.
  TlsFiles Issue(const std::string& role, const std::string& id, int64_t age_days = 0) {
    CertificateRequest request;
    request.role = role;
    request.id = id;
    request.valid_days = 1;
    if (role == "coordinator") {
      request.dns_names = {"localhost"};
      request.ip_addresses = {"127.0.0.1"};
    }
    const CertifiedKey issued =
        IssueCertificate(authority_, request, now_ms_ - age_days * kMsPerDay).value();
    Write(absl::StrCat(id, ".pem"), issued.certificate_pem, 0644);
    Write(absl::StrCat(id, ".key"), issued.key_pem, 0600);
    return TlsFiles::In(dir_.path(), id);
  }

  std::string File(const std::string& name) const { return dir_.File(name); }

 private:
  void Write(const std::string& name, const std::string& text, mode_t mode) {
    ASSERT_TRUE(WriteFileAtomic(dir_.File(name), text, mode).ok());
  }

  TempDir dir_;
  const int64_t now_ms_;
  CertifiedKey authority_;
};

}  // namespace fedwatt
