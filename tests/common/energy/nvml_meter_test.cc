#include "common/energy/nvml_meter.h"

#include "gmock/gmock.h"
#include "tests/common/energy/meter_fixture.h"

namespace fedwatt {
namespace {

using ::testing::HasSubstr;

class NvmlMeterTest : public MeterTest {
 protected:
  void SetUp() override {
    MeterTest::SetUp();
    gpus_.load_error = absl::OkStatus();
    gpus_.energy_mj = {1000, 2000};
  }
  std::unique_ptr<EnergyMeter> Make() {
    auto meter = MakeNvmlMeter(env_);
    EXPECT_TRUE(meter.ok()) << meter.status();
    return *std::move(meter);
  }
};

TEST_F(NvmlMeterTest, AddsTheGpusOfTheHostAndAttributesNothing) {
  const auto meter = Make();
  EXPECT_EQ(meter->description(), "GPU 0, GPU 1");
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 1000);
    gpus_.energy_mj = {1300, 2200};
  });
  EXPECT_EQ(sample.energy_uj, 500'000);
  EXPECT_EQ(sample.quality, EnergyQuality::kMeasured);
  EXPECT_EQ(sample.scope, EnergyScope::kBoard);
  EXPECT_FALSE(sample.machine_energy_uj.has_value());
}

TEST_F(NvmlMeterTest, AnOlderGpuWithoutACounterIsLeftOut) {
  gpus_.energy_mj[0] = absl::UnavailableError("Not Supported");
  EXPECT_EQ(Make()->description(), "GPU 1");
}

TEST_F(NvmlMeterTest, WithoutAGpuOrADriverItSaysSo) {
  gpus_.energy_mj = {};
  EXPECT_THAT(std::string(MakeNvmlMeter(env_).status().message()), HasSubstr("no GPU"));
  gpus_.load_error = absl::NotFoundError("no NVIDIA driver here: libnvidia-ml.so.1");
  EXPECT_THAT(std::string(MakeNvmlMeter(env_).status().message()), HasSubstr("no NVIDIA driver"));
}

TEST_F(NvmlMeterTest, ADriverThatIsLoadedAnewBreaksTheWindow) {
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 1000);
    gpus_.energy_mj[0] = 3;
  });
  EXPECT_THAT(sample.reason, HasSubstr("loaded anew"));
}

TEST_F(NvmlMeterTest, AGpuLostInMidWindowIsAGap) {
  const auto meter = Make();
  const EnergySample sample = Measure(*meter, [&] {
    Pass(*meter, 1000);
    gpus_.energy_mj[1] = absl::UnavailableError("GPU is lost");
  });
  EXPECT_FALSE(sample.energy_uj.has_value());
  EXPECT_THAT(sample.reason, HasSubstr("GPU is lost"));
}

// The real loader, on a library of our own.
TEST(NvmlLibraryTest, CallsWhatItFindsInTheLibrary) {
  const auto nvml = LoadNvml(FEDWATT_FAKE_NVML);
  ASSERT_TRUE(nvml.ok()) << nvml.status();
  EXPECT_EQ(*(*nvml)->DeviceCount(), 2u);
  const uint64_t first = *(*nvml)->TotalEnergyMj(0);
  EXPECT_EQ(*(*nvml)->TotalEnergyMj(0), first + 1000);
  EXPECT_EQ((*nvml)->TotalEnergyMj(1).status().message(),
            "nvmlDeviceGetTotalEnergyConsumption: Not Supported");
}

TEST(NvmlLibraryTest, ALibraryThatIsMissingOrAnotherIsNamed) {
  EXPECT_THAT(std::string(LoadNvml("libfedwatt-no-such.so").status().message()),
              HasSubstr("libfedwatt-no-such.so"));
  EXPECT_THAT(std::string(LoadNvml("libc.so.6").status().message()), HasSubstr("lacks nvml"));
}

}  // namespace
}  // namespace fedwatt
