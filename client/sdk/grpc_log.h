#pragma once

#include <functional>
#include <string>

// gRPC's own log lines. It writes them to standard error, which belongs to the app: with a tap they
// go there instead, for the whole process and from then on.
namespace fedwatt {

enum class GrpcLogLevel { kDebug, kInfo, kError };

// While it lives, it gets gRPC's lines, beside other taps; without any the lines are dropped. How
// much gRPC says is still the environment's to decide (GRPC_VERBOSITY). An app that uses gRPC
// itself, and wants its lines elsewhere, sets its own function after the first client was opened.
class GrpcLogTap {
 public:
  // Called by threads of gRPC's, in the middle of whatever they do, one line at a time: must not
  // block, and not call gRPC.
  using Write = std::function<void(GrpcLogLevel level, const std::string& line)>;

  explicit GrpcLogTap(Write write);
  // `write` is not called any more.
  ~GrpcLogTap();
  GrpcLogTap(const GrpcLogTap&) = delete;
  GrpcLogTap& operator=(const GrpcLogTap&) = delete;

 private:
  const Write write_;
  friend struct GrpcLogTaps;
};

}  // namespace fedwatt
