// SPDX-License-Identifier: Apache-2.0
//
// Tables of a benchmark, for a person in fixed columns or, with --json, one JSON object per line:
// the table's name and the row's values by the columns' keys.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/bench/pairs.h"

namespace faultline::bench {

enum class Output : uint8_t { kTable, kJson };

/// One cell of a table; "-" and null where there is no figure.
struct Value {
  std::string text;
  nlohmann::ordered_json json;
};

[[nodiscard]] Value Text(std::string text);
[[nodiscard]] inline Value Number(int number) { return {std::to_string(number), number}; }
[[nodiscard]] Value Number(double number, int digits);
[[nodiscard]] Value Number(std::optional<double> number, int digits);
/// Smallest and largest.
[[nodiscard]] Value Range(const std::optional<Spread>& spread, int digits);
[[nodiscard]] inline Value NoFigure() { return {"-", nullptr}; }
[[nodiscard]] inline std::optional<double> MedianOf(const std::optional<Spread>& spread) {
  return spread ? std::optional(spread->median) : std::nullopt;
}

struct Column {
  std::string key;    ///< in JSON
  std::string title;  ///< in the table
  int width;          ///< negative: text, from the left
};

class Report {
 public:
  explicit Report(Output output) : output_(output) {}

  /// Begins a table; `heading` says what it shows and in which units.
  void Begin(std::string name, const std::string& heading, std::vector<Column> columns);
  /// As many values as columns.
  void Row(const std::vector<Value>& values) const;
  /// Below a table: a line of text, or with --json the object, if there is one.
  void Note(const std::string& text, const nlohmann::ordered_json& json = nullptr) const;

 private:
  Output output_;
  std::string name_;
  std::vector<Column> columns_;
};

}  // namespace faultline::bench
