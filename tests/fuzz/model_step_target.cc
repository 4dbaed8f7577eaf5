// Models as they travel: whole or as a step. An input is a byte for the way (upon a model that the
// client holds, or from nothing), and a payload.

#include <cmath>
#include <cstring>
#include <vector>

#include "common/codec/model_step.h"
#include "tests/fuzz/fuzz_target.h"

namespace fedwatt::fuzz {
namespace {

// Two matrices over more than one block of the lattice, a frozen tensor, and two buffers.
struct Model {
  Manifest manifest;
  UpdateLayout layout;
};

Model MakeModel() {
  Model model;
  model.manifest = *Manifest::Create({{"a", DType::kF32, {70, 100}, TensorRole::kTrainable},
                                      {"mean", DType::kF32, {9}, TensorRole::kBuffer},
                                      {"b", DType::kF32, {11}, TensorRole::kTrainable},
                                      {"frozen", DType::kF32, {3}, TensorRole::kTrainable},
                                      {"seen", DType::kI64, {}, TensorRole::kBuffer}});
  model.layout = *MakeUpdateLayout(model.manifest, {"frozen"}, BufferMode::kAverage);
  return model;
}

std::vector<float> RandomCoordinates(const Model& model, double size, Rng& rng) {
  std::vector<float> values(model.layout.coordinates);
  for (float& v : values) v = static_cast<float>(size * rng.Normal());
  return values;
}

std::vector<uint8_t> FlatModel(const Model& model, std::span<const float> trainables) {
  std::vector<uint8_t> flat(model.manifest.TotalBytes(), 1);
  for (const UpdateLayout::Piece& piece : model.layout.trainable) {
    std::memcpy(flat.data() + piece.model_offset, trainables.data() + piece.offset,
                piece.elements * sizeof(float));
  }
  return flat;
}

// On the lattice, as what clients hold is.
std::vector<uint8_t> HeldModel(const Model& model, Rng& rng, std::vector<float>* steps) {
  std::vector<float> values = RandomCoordinates(model, 0.1, rng);
  *steps = *LatticeSteps(values, kMinLatticeBits + static_cast<int>(rng.UniformInt(13)));
  RoundToLattice(*steps, values);
  return FlatModel(model, values);
}

absl::Status Build(const Model& model, bool held, std::span<const uint8_t> start, ByteSpan payload,
                   std::vector<uint8_t>* out) {
  auto builder = ModelBuilder::Create(&model.manifest, &model.layout);
  Expect(builder.ok(), "there is memory for a small model");
  if (held) Expect(builder->StartFrom(start).ok(), "a model of the manifest's size is a start");
  const absl::Status applied = builder->Apply(payload);
  ExpectOkOrRefused(applied);
  if (applied.ok()) out->assign(builder->model().begin(), builder->model().end());
  return applied;
}

void CheckFinite(const Model& model, std::span<const uint8_t> flat) {
  for (const UpdateLayout::Piece& piece : model.layout.trainable) {
    for (uint64_t i = 0; i < piece.elements; ++i) {
      float value = 0;
      std::memcpy(&value, flat.data() + piece.model_offset + i * sizeof(float), sizeof(value));
      Expect(std::isfinite(value), "a model that is taken is finite");
    }
  }
}

void RunModelStep(const Model& model, std::span<const uint8_t> start, ByteSpan input) {
  if (input.empty()) return;
  const bool held = input[0] % 4 != 0;
  std::vector<uint8_t> first, second;
  const absl::Status applied = Build(model, held, start, input.subspan(1), &first);
  if (!applied.ok()) return;
  Expect(first.size() == model.manifest.TotalBytes(), "a model has the manifest's size");
  CheckFinite(model, first);
  Expect(Build(model, held, start, input.subspan(1), &second).ok() && first == second,
         "the same payload gives the same model");
}

std::string WellFormed(const Model& model, Rng& rng) {
  std::vector<float> steps;
  const std::vector<uint8_t> held = HeldModel(model, rng, &steps);
  if (rng.UniformInt(2) == 0) {
    const auto whole = EncodeWholeModel(model.manifest, model.layout, held, steps);
    return std::string(1, static_cast<char>(rng.UniformInt(4))) + *whole;
  }
  const CodecEntry& entry = BuiltinCodecs()[rng.UniformInt(BuiltinCodecs().size())];
  const std::vector<uint8_t> buffers(model.layout.buffer_bytes, 7);
  const auto step = EncodeModelStep(**MakeCodec(entry.name), {.job = "fuzz"}, model.layout,
                                    RandomCoordinates(model, 0.01, rng), steps, buffers);
  return "\1" + *step;
}

}  // namespace

FuzzTarget ModelStepTarget() {
  const auto model = std::make_shared<const Model>(MakeModel());
  Rng rng(RngKey{.purpose = "fuzz", .seed = 1});
  std::vector<float> steps;
  const auto start = std::make_shared<const std::vector<uint8_t>>(HeldModel(*model, rng, &steps));
  return {"model_step", [model, start](ByteSpan input) { RunModelStep(*model, *start, input); },
          [model](Rng& random) { return WellFormed(*model, random); }};
}

}  // namespace fedwatt::fuzz
