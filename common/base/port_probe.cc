#include "common/base/port_probe.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <memory>

#include "absl/strings/str_cat.h"
#include "common/base/errno_text.h"

namespace fedwatt {
namespace {

absl::Status BindError(int error, const std::string& host, uint16_t port) {
  const std::string at = absl::StrCat(host, ":", port);
  if (error == EADDRINUSE) {
    return absl::FailedPreconditionError(absl::StrCat("port ", port, " of ", host, " is in use"));
  }
  if (error == EACCES) {
    return absl::PermissionDeniedError(
        absl::StrCat("this user may not listen on ", at, "; ports below 1024 need the right to"));
  }
  return absl::NotFoundError(absl::StrCat("cannot listen on ", at, ": ", ErrnoText(error)));
}

}  // namespace

absl::Status ProbeListen(const std::string& host, uint16_t port) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE;
  addrinfo* found = nullptr;
  const int resolved = getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &found);
  if (resolved != 0) {
    return absl::NotFoundError(absl::StrCat("host ", host, ": ", gai_strerror(resolved)));
  }
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owner(found, freeaddrinfo);
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return BindError(errno, host, port);
  const int yes = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  const bool bound = bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 1) == 0;
  const int error = errno;
  close(fd);
  return bound ? absl::OkStatus() : BindError(error, host, port);
}

}  // namespace fedwatt
