#include "server/carbon/http_get.h"

#include <curl/curl.h>

#include <csignal>
#include <ctime>
#include <memory>
#include <mutex>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace fedwatt {
namespace {

struct CurlDeleter {
  void operator()(CURL* curl) const { curl_easy_cleanup(curl); }
};
struct ListDeleter {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
struct UrlDeleter {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

// OpenSSL writes to sockets without MSG_NOSIGNAL: a service that hangs up must not end the process.
class PipeSignalBlocked {
 public:
  PipeSignalBlocked() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    sigset_t pending;
    sigpending(&pending);
    was_pending_ = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~PipeSignalBlocked() {
    constexpr timespec kAtOnce{};
    if (!was_pending_) sigtimedwait(&pipe_, nullptr, &kAtOnce);
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }

 private:
  sigset_t pipe_;
  sigset_t before_;
  bool was_pending_ = false;
};

struct Body {
  std::string text;
  uint64_t max_bytes = 0;
  bool over = false;
};

size_t Take(char* data, size_t size, size_t count, void* to) {
  auto* body = static_cast<Body*>(to);
  const size_t bytes = size * count;
  if (body->text.size() + bytes > body->max_bytes) {
    body->over = true;
    return 0;
  }
  body->text.append(data, bytes);
  return bytes;
}

std::string UrlPart(CURLU* url, CURLUPart part) {
  char* text = nullptr;
  if (curl_url_get(url, part, &text, 0) != CURLUE_OK) return "";
  std::string copy(text);
  curl_free(text);
  return copy;
}

absl::Status CheckAddress(const std::string& address) {
  const std::unique_ptr<CURLU, UrlDeleter> url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, address.c_str(), 0) != CURLUE_OK) {
    return absl::InvalidArgumentError("the address is not a URL; write e.g. https://host");
  }
  const std::string scheme = UrlPart(url.get(), CURLUPART_SCHEME);
  const std::string host = UrlPart(url.get(), CURLUPART_HOST);
  const bool loopback = host == "127.0.0.1" || host == "[::1]" || host == "localhost";
  if (scheme == "https" || (scheme == "http" && loopback)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(scheme, "://", host, ": only https:// (and http:// on loopback) keeps a token"));
}

absl::Status OfHttpStatus(long status, const std::string& where) {
  const std::string what = absl::StrCat(where, " answered ", status);
  if (status == 200) return absl::OkStatus();
  if (status == 401 || status == 403) {
    return absl::UnauthenticatedError(absl::StrCat(what, "; renew the token in its file"));
  }
  if (status == 429) return absl::ResourceExhaustedError(absl::StrCat(what, ": too many requests"));
  if (status >= 500) return absl::UnavailableError(what);
  return absl::FailedPreconditionError(
      absl::StrCat(what, "; check the region and the address of the service"));
}

}  // namespace

absl::StatusOr<std::string> HttpGet(const HttpRequest& request) {
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
  if (absl::Status address = CheckAddress(request.url); !address.ok()) return address;
  const std::string where = std::vector<std::string>(absl::StrSplit(request.url, '?')).front();
  const std::unique_ptr<CURL, CurlDeleter> curl(curl_easy_init());
  if (curl == nullptr) return absl::InternalError("libcurl cannot be initialised");
  std::unique_ptr<curl_slist, ListDeleter> headers;
  for (const std::string& header : request.headers) {
    headers.reset(curl_slist_append(headers.release(), header.c_str()));
  }
  Body body{.max_bytes = request.max_bytes};
  char error[CURL_ERROR_SIZE] = "";
  CURL* const c = curl.get();
  curl_easy_setopt(c, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(c, CURLOPT_ACCEPT_ENCODING, nullptr);  // a bomb must not unfold
  curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout_ms));
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.timeout_ms));
  curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, 1L);
  curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, 2L);
  if (!request.ca_file.empty()) curl_easy_setopt(c, CURLOPT_CAINFO, request.ca_file.c_str());
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, Take);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &body);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error);
  const PipeSignalBlocked no_pipe_signal;
  const CURLcode code = curl_easy_perform(c);
  if (body.over) {
    return absl::ResourceExhaustedError(
        absl::StrCat(where, " answered with more than ", request.max_bytes, " bytes"));
  }
  if (code != CURLE_OK) {
    return absl::UnavailableError(
        absl::StrCat(where, ": ", error[0] != '\0' ? error : curl_easy_strerror(code)));
  }
  long status = 0;
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
  if (absl::Status bad = OfHttpStatus(status, where); !bad.ok()) return bad;
  return std::move(body.text);
}

}  // namespace fedwatt
