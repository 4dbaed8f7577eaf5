#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

// The files by which hosts show their sensors, built below a folder of the test's.
namespace fedwatt {

class HostTree {
 public:
  HostTree() = default;
  // Empties the folder.
  explicit HostTree(std::string root);

  const std::string& root() const { return root_; }

  // `text` gets a line's end, as the kernel's files have.
  void Write(const std::string& path, const std::string& text) const;
  void Write(const std::string& path, int64_t value) const;
  void Remove(const std::string& path) const;
  int64_t Number(const std::string& path) const;

  // One RAPL domain, "intel-rapl:0", with the range that Intel's packages have.
  void Rapl(const std::string& id, const std::string& name, int64_t energy_uj) const;
  // One channel of a hardware monitor's chip.
  void Hwmon(int chip, const std::string& chip_name, const std::string& channel,
             const std::string& label, int64_t value) const;
  void Battery(const std::string& name, const std::string& status) const;

  // Adds `joules` to a counter in microjoules; it wraps as its max_energy_range_uj says.
  void Spend(const std::string& energy_file, double joules) const;

 private:
  std::string root_;
};

// A package, its twin by mmio, core and uncore inside, psys around, a battery discharging at 12 W.
void BuildIntelLaptop(const HostTree& tree);
// Two packages without dram, and the same sockets by the amd_energy driver.
void BuildAmdServer(const HostTree& tree);
// VDD_IN at 5 V x 1.2 A = 6 W, rails inside, a disabled one and one NC, hwmon layout.
void BuildJetsonOrin(const HostTree& tree);
// POM_5V_IN at 4 W, older iio layout.
void BuildJetsonNano(const HostTree& tree);
// A battery alone, 4 V, current_now -500 mA while discharging: 2 W.
void BuildPhone(const HostTree& tree);
// Nothing but the kernel's counts of CPU time.
void BuildVirtualMachine(const HostTree& tree);

struct HostKind {
  std::string name;
  std::function<void(const HostTree&)> build;
  std::vector<std::string> counters;  // files that rise with what is spent
  std::vector<std::string> meters;    // that work there, with nothing but these files
};
const std::vector<HostKind>& HostKinds();

}  // namespace fedwatt
