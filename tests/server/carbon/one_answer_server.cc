#include "tests/server/carbon/one_answer_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <functional>
#include <memory>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

// Reads the head of a request by `read`, tells `seen`, and sends `answer` by `write`.
template <typename Seen, typename Read, typename Write>
void Exchange(const std::string& answer, Seen seen, Read read, Write write) {
  std::string request;
  char buffer[4096];
  while (request.find("\r\n\r\n") == std::string::npos) {
    const auto count = read(buffer, sizeof(buffer));
    if (count <= 0) return;
    request.append(buffer, static_cast<size_t>(count));
  }
  seen(request);
  // Without an answer: until the client gives up.
  while (answer.empty() && read(buffer, sizeof(buffer)) > 0) {
  }
  for (size_t sent = 0; sent < answer.size();) {
    const auto count = write(answer.data() + sent, answer.size() - sent);
    if (count <= 0) break;
    sent += static_cast<size_t>(count);
  }
}

std::shared_ptr<SSL_CTX> ContextOf(const CertifiedKey& key) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  const std::unique_ptr<BIO, decltype(&BIO_free)> certificate(
      BIO_new_mem_buf(key.certificate_pem.data(), -1), BIO_free);
  const std::unique_ptr<BIO, decltype(&BIO_free)> secret(BIO_new_mem_buf(key.key_pem.data(), -1),
                                                         BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> x509(
      PEM_read_bio_X509(certificate.get(), nullptr, nullptr, nullptr), X509_free);
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pkey(
      PEM_read_bio_PrivateKey(secret.get(), nullptr, nullptr, nullptr), EVP_PKEY_free);
  SSL_CTX_use_certificate(context.get(), x509.get());
  SSL_CTX_use_PrivateKey(context.get(), pkey.get());
  return context;
}

}  // namespace

std::string OneAnswerServer::Ok(const std::string& body) {
  return absl::StrCat("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ",
                      body.size(), "\r\nConnection: close\r\n\r\n", body);
}

std::string OneAnswerServer::Status(int status) {
  return absl::StrCat("HTTP/1.1 ", status,
                      " Told So\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n",
                      "Connection: close\r\n\r\n");
}

OneAnswerServer::OneAnswerServer(std::string answer, const CertifiedKey* key)
    : key_(key), answer_(std::move(answer)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener_, generic, size) != 0 || listen(listener_, 16) != 0 ||
      getsockname(listener_, generic, &size) != 0) {
    std::abort();
  }
  port_ = ntohs(address.sin_port);
  thread_ = std::thread([this] { Serve(); });
}

OneAnswerServer::~OneAnswerServer() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
  }
  shutdown(listener_, SHUT_RDWR);
  thread_.join();
  close(listener_);
}

std::string OneAnswerServer::url() const {
  return absl::StrCat(key_ == nullptr ? "http" : "https", "://127.0.0.1:", port_);
}

void OneAnswerServer::SetAnswer(const std::string& answer) {
  MutexLock lock(&mutex_);
  answer_ = answer;
}

std::string OneAnswerServer::last_request() const {
  MutexLock lock(&mutex_);
  return last_request_;
}

int OneAnswerServer::requests() const {
  MutexLock lock(&mutex_);
  return requests_;
}

void OneAnswerServer::Serve() {
  // A client that refuses the certificate hangs up while the server still writes.
  sigset_t pipe;
  sigemptyset(&pipe);
  sigaddset(&pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
  while (true) {
    const int connection = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
    {
      MutexLock lock(&mutex_);
      if (stopping_ || connection < 0) break;
    }
    ServeOne(connection);
    close(connection);
  }
}

void OneAnswerServer::ServeOne(int connection) {
  std::string answer;
  {
    MutexLock lock(&mutex_);
    answer = answer_;
  }
  const auto seen = [this](const std::string& request) {
    MutexLock lock(&mutex_);
    last_request_ = request;
    ++requests_;
  };
  if (key_ == nullptr) {
    Exchange(
        answer, seen, [&](char* to, size_t n) { return recv(connection, to, n, 0); },
        [&](const char* from, size_t n) { return send(connection, from, n, MSG_NOSIGNAL); });
  } else {
    const std::shared_ptr<SSL_CTX> context = ContextOf(*key_);
    const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
    SSL_set_fd(ssl.get(), connection);
    if (SSL_accept(ssl.get()) != 1) return;
    Exchange(
        answer, seen,
        [&](char* to, size_t n) { return SSL_read(ssl.get(), to, static_cast<int>(n)); },
        [&](const char* from, size_t n) {
          return SSL_write(ssl.get(), from, static_cast<int>(n));
        });
    SSL_shutdown(ssl.get());
  }
}

}  // namespace fedwatt
