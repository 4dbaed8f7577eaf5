#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

// The figures of one run: each beside the bare floor that was measured in the same run, and beside
// its target where it has one.
namespace fedwatt::bench {

struct Target {
  enum class Kind {
    kValueAtMost,
    kValueAtLeast,
    kRatioAtMost,  // value / floor
    kRatioAtLeast,
    kRatioWithin  // differs from 1 by the limit at most
  };
  Kind kind = Kind::kValueAtMost;
  double limit = 0;
};

struct Figure {
  std::string group;  // a heading; figures of one group follow each other
  std::string name;
  double value = 0;
  std::string unit;
  std::optional<double> floor;  // same unit
  std::string floor_name;       // what the floor is
  std::optional<Target> target;

  std::optional<double> Ratio() const;  // value / floor
  std::optional<bool> Reached() const;
};

class Table {
 public:
  void Add(Figure figure) { figures_.push_back(std::move(figure)); }
  // A line below the table.
  void Note(std::string text) { notes_.push_back(std::move(text)); }

  const std::vector<Figure>& figures() const { return figures_; }
  // Figures with a target that was not reached.
  int CountShort() const;

  std::string ToText() const;
  std::string ToJson() const;

 private:
  std::vector<Figure> figures_;
  std::vector<std::string> notes_;
};

// The middle value, of an even number the mean of the two. Not empty.
double Median(std::vector<double> values);

}  // namespace fedwatt::bench
