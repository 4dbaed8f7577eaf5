#include "tests/common/energy/host_tree.h"

#include <cmath>
#include <filesystem>
#include <fstream>
#include <utility>

#include "absl/strings/str_cat.h"

namespace fedwatt {
namespace {

constexpr char kPowercap[] = "sys/class/powercap/";
constexpr char kSupply[] = "sys/class/power_supply/";
constexpr int64_t kIntelRangeUj = 262'143'328'850;
constexpr int64_t kAmdRangeUj = 65'532'610'987;

}  // namespace

HostTree::HostTree(std::string root) : root_(std::move(root)) {
  std::filesystem::remove_all(root_);
  std::filesystem::create_directories(root_);
}

void HostTree::Write(const std::string& path, const std::string& text) const {
  const std::filesystem::path file = root_ + "/" + path;
  std::filesystem::create_directories(file.parent_path());
  std::ofstream(file) << text << "\n";
}

void HostTree::Write(const std::string& path, int64_t value) const {
  Write(path, std::to_string(value));
}

void HostTree::Remove(const std::string& path) const {
  std::filesystem::remove_all(root_ + "/" + path);
}

int64_t HostTree::Number(const std::string& path) const {
  int64_t value = 0;
  std::ifstream(root_ + "/" + path) >> value;
  return value;
}

void HostTree::Rapl(const std::string& id, const std::string& name, int64_t energy_uj) const {
  const std::string dir = kPowercap + id;
  Write(dir + "/name", name);
  Write(dir + "/max_energy_range_uj", kIntelRangeUj);
  Write(dir + "/energy_uj", energy_uj);
}

void HostTree::Hwmon(int chip, const std::string& chip_name, const std::string& channel,
                     const std::string& label, int64_t value) const {
  const std::string dir = absl::StrCat("sys/class/hwmon/hwmon", chip, "/");
  Write(dir + "name", chip_name);
  Write(dir + channel, value);
  if (!label.empty()) Write(dir + channel.substr(0, channel.find('_')) + "_label", label);
}

void HostTree::Battery(const std::string& name, const std::string& status) const {
  Write(kSupply + name + "/type", "Battery");
  Write(kSupply + name + "/status", status);
  Write(kSupply + name + "/capacity", 80);
}

void HostTree::Spend(const std::string& energy_file, double joules) const {
  int64_t value = Number(energy_file) + std::llround(joules * 1e6);
  const std::string range_file =
      energy_file.substr(0, energy_file.rfind('/')) + "/max_energy_range_uj";
  const int64_t range = Number(range_file);
  if (range > 0) value %= range;
  Write(energy_file, value);
}

void BuildIntelLaptop(const HostTree& tree) {
  tree.Rapl("intel-rapl:0", "package-0", 1'000'000);
  tree.Rapl("intel-rapl:0:0", "core", 400'000);
  tree.Rapl("intel-rapl:0:1", "uncore", 100'000);
  tree.Rapl("intel-rapl:1", "psys", 3'000'000);
  tree.Rapl("intel-rapl-mmio:0", "package-0", 1'000'000);
  tree.Write(absl::StrCat(kPowercap, "intel-rapl/enabled"), 1);
  tree.Battery("BAT0", "Discharging");
  tree.Write(absl::StrCat(kSupply, "BAT0/power_now"), 12'000'000);
  tree.Write(absl::StrCat(kSupply, "BAT0/energy_now"), 40'000'000);
  tree.Write(absl::StrCat(kSupply, "BAT0/energy_full"), 57'000'000);
  tree.Write(absl::StrCat(kSupply, "AC/type"), "Mains");
  tree.Write(absl::StrCat(kSupply, "AC/online"), 0);
  tree.Hwmon(0, "nvme", "temp1_input", "Composite", 41'000);
  tree.Hwmon(1, "coretemp", "temp1_input", "Package id 0", 55'000);
}

void BuildAmdServer(const HostTree& tree) {
  for (const int socket : {0, 1}) {
    const std::string id = absl::StrCat("intel-rapl:", socket);
    tree.Rapl(id, absl::StrCat("package-", socket), 7'000'000 + socket);
    tree.Write(kPowercap + id + "/max_energy_range_uj", kAmdRangeUj);
    tree.Rapl(id + ":0", "core", 5'000'000);
    tree.Hwmon(2, "amd_energy", absl::StrCat("energy", socket + 1, "_input"),
               absl::StrCat("Esocket", socket), 9'000'000);
  }
  tree.Hwmon(2, "amd_energy", "energy3_input", "Ecore000", 2'000'000);
  tree.Hwmon(3, "amdgpu", "power1_average", "PPT", 30'000'000);
}

void BuildJetsonOrin(const HostTree& tree) {
  const std::string dir = "sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon4/";
  const auto rail = [&](int channel, const std::string& label, int64_t mv, int64_t ma) {
    tree.Write(absl::StrCat(dir, "in", channel, "_label"), label);
    tree.Write(absl::StrCat(dir, "in", channel, "_input"), mv);
    tree.Write(absl::StrCat(dir, "curr", channel, "_input"), ma);
  };
  tree.Write(dir + "name", "ina3221");
  rail(1, "VDD_IN", 5'000, 1'200);
  rail(2, "VDD_CPU_GPU_CV", 5'000, 600);
  rail(3, "VDD_SOC", 5'000, 300);
  tree.Write(dir + "in3_enable", 0);
  tree.Write(dir + "in4_input", 6);
  tree.Write(dir + "in7_label", "sum of shunt voltages");
  tree.Write("sys/bus/i2c/drivers/ina3221/bind", "");
  // The same chip as the hardware monitor shows it.
  tree.Hwmon(4, "ina3221", "in1_input", "VDD_IN", 5'000);
}

void BuildJetsonNano(const HostTree& tree) {
  const std::string dir = "sys/bus/i2c/drivers/ina3221x/6-0040/iio:device0/";
  tree.Write(dir + "rail_name_0", "POM_5V_IN");
  tree.Write(dir + "in_power0_input", 4'000);
  tree.Write(dir + "rail_name_1", "POM_5V_GPU");
  tree.Write(dir + "in_power1_input", 1'500);
  tree.Write(dir + "rail_name_2", "POM_5V_CPU");
  tree.Write(dir + "in_power2_input", 1'000);
}

void BuildPhone(const HostTree& tree) {
  tree.Battery("battery", "Discharging");
  tree.Write(absl::StrCat(kSupply, "battery/current_now"), -500'000);
  tree.Write(absl::StrCat(kSupply, "battery/voltage_now"), 4'000'000);
  tree.Write(absl::StrCat(kSupply, "battery/charge_now"), 2'000'000);
  tree.Write(absl::StrCat(kSupply, "battery/charge_full"), 4'400'000);
  tree.Write(absl::StrCat(kSupply, "usb/type"), "USB");
}

void BuildVirtualMachine(const HostTree& tree) {
  tree.Write("proc/stat", "cpu  100 0 50 1000 0 0 0 0 0 0");
}

const std::vector<HostKind>& HostKinds() {
  static const std::vector<HostKind> kinds = {
      {"IntelLaptop",
       BuildIntelLaptop,
       {"sys/class/powercap/intel-rapl:0/energy_uj"},
       {"rapl", "battery", "cpu_time"}},
      {"AmdServer",
       BuildAmdServer,
       {"sys/class/powercap/intel-rapl:0/energy_uj", "sys/class/powercap/intel-rapl:1/energy_uj",
        "sys/class/hwmon/hwmon2/energy1_input", "sys/class/hwmon/hwmon2/energy2_input"},
       {"rapl", "hwmon", "cpu_time"}},
      {"JetsonOrin", BuildJetsonOrin, {}, {"ina3221", "cpu_time"}},
      {"JetsonNano", BuildJetsonNano, {}, {"ina3221", "cpu_time"}},
      {"Phone", BuildPhone, {}, {"battery", "cpu_time"}},
      {"VirtualMachine", BuildVirtualMachine, {}, {"cpu_time"}}};
  return kinds;
}

}  // namespace fedwatt
