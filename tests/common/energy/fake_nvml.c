/* A management library with two GPUs: the first counts 1 J at each look, the second has no
 * counter. */
typedef int Result;
typedef void* Device;

static unsigned long long energy_mj = 5000;
static int running = 0;

Result nvmlInit_v2(void) {
  running = 1;
  return 0;
}
Result nvmlShutdown(void) {
  running = 0;
  return 0;
}
const char* nvmlErrorString(Result result) {
  return result == 3 ? "Not Supported" : "Uninitialized";
}
Result nvmlDeviceGetCount_v2(unsigned* count) {
  *count = 2;
  return running ? 0 : 1;
}
Result nvmlDeviceGetHandleByIndex_v2(unsigned index, Device* device) {
  static int devices[2];
  *device = &devices[index];
  return running && index < 2 ? 0 : 1;
}
Result nvmlDeviceGetTotalEnergyConsumption(Device device, unsigned long long* out) {
  Device first;
  nvmlDeviceGetHandleByIndex_v2(0, &first);
  if (device != first) return 3;
  *out = energy_mj += 1000;
  return 0;
}
