// Goal: packed weights have the values that an independent program gives the same bytes, bit for
// bit (tests/data/gguf/dequantised.txt says which program and versions).
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "engine/kernels/pack.h"
#include "tests/support/gguf_decode.h"
#include "tests/unit/engine/kernels/random_rows.h"

namespace mortar {
namespace {

std::vector<uint8_t> FromHex(const std::string& text) {
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<uint8_t>(std::stoi(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

// One line of the file.
struct StoredBlock {
  WeightType type;
  std::vector<uint8_t> bytes;
  std::vector<float> elements;
};

std::vector<StoredBlock> StoredBlocks() {
  std::ifstream file(std::string(MORTAR_TEST_DATA) + "/gguf/dequantised.txt");
  EXPECT_TRUE(file.good());
  std::vector<StoredBlock> blocks;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream fields(line);
    std::string name, bytes, elements;
    fields >> name >> bytes >> elements;
    for (int i = 0; i < kWeightTypes; ++i) {
      const auto type = static_cast<WeightType>(i);
      if (name != Name(FileType(type))) continue;
      const std::vector<uint8_t> raw = FromHex(elements);
      StoredBlock block = {type, FromHex(bytes), std::vector<float>(raw.size() / sizeof(float))};
      std::memcpy(block.elements.data(), raw.data(), raw.size());
      blocks.push_back(block);
    }
  }
  return blocks;
}

TEST(StoredWeights, EveryQuantisedTypeIsAmongThem) {
  std::set<WeightType> types;
  for (const StoredBlock& stored : StoredBlocks()) types.insert(stored.type);
  for (int i = 0; i < kWeightTypes; ++i) {
    const auto type = static_cast<WeightType>(i);
    EXPECT_EQ(types.contains(type), IsQuantized(type)) << Name(FileType(type));
  }
}

// Each block once in every lane, between rows of other bytes.
TEST(StoredWeights, UnpackedRowsAreTheStoredBits) {
  for (const StoredBlock& stored : StoredBlocks()) {
    const int n_in = static_cast<int>(stored.elements.size());
    for (int lane = 0; lane < kLanes; ++lane) {
      RandomMatrix m = MakeMatrix(stored.type, ActivationType::kInt8, kLanes, n_in, 3);
      ASSERT_EQ(stored.bytes.size() * kLanes, m.file.size());
      std::memcpy(m.file.data() + stored.bytes.size() * static_cast<size_t>(lane),
                  stored.bytes.data(), stored.bytes.size());
      PackGroups(m.w, m.file.data(), 0, 1, m.packed.data());
      std::vector<float> y(stored.elements.size());
      Scalar().unpack_row(m.w, lane, y.data());
      ASSERT_TRUE(SameBits(y, stored.elements)) << Name(FileType(stored.type)) << " row " << lane;
    }
  }
}

// What the other tests compare with is right as well.
TEST(StoredWeights, TheTestsOwnDecoderAgrees) {
  for (const StoredBlock& stored : StoredBlocks()) {
    const std::vector<double> decoded = DecodeTensor(FileType(stored.type), stored.bytes);
    ASSERT_EQ(decoded.size(), stored.elements.size());
    for (size_t i = 0; i < decoded.size(); ++i) {
      ASSERT_EQ(static_cast<float>(decoded[i]), stored.elements[i]) << Name(FileType(stored.type));
    }
  }
}

}  // namespace
}  // namespace mortar
