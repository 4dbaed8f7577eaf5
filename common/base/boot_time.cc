#include "common/base/boot_time.h"

#include <time.h>

namespace fedwatt {

int64_t BootTimeUs() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);  // cannot fail from Linux 2.6.39 on
  return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
}

}  // namespace fedwatt
