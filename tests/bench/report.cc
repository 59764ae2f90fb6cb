// SPDX-License-Identifier: Apache-2.0
//
// Implementation of report.h.
#include "tests/bench/report.h"

#include <cstdio>
#include <utility>

#include <absl/strings/str_format.h>

#include "core/base/check.h"

namespace faultline::bench {
namespace {

/// Without the blanks at its end.
void PrintLine(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  absl::PrintF("%s\n", line);
}

std::string Padded(const std::string& text, int width) {
  return absl::StrFormat("%*s", width, text);
}

}  // namespace

Value Text(std::string text) {
  nlohmann::ordered_json json = text;
  return {std::move(text), std::move(json)};
}

Value Number(double number, int digits) {
  return {absl::StrFormat("%.*f", digits, number), number};
}

Value Number(std::optional<double> number, int digits) {
  return number ? Number(*number, digits) : NoFigure();
}

Value Range(const std::optional<Spread>& spread, int digits) {
  if (!spread) return NoFigure();
  return {absl::StrFormat("%.*f - %.*f", digits, spread->min, digits, spread->max),
          {spread->min, spread->max}};
}

void Report::Begin(std::string name, const std::string& heading, std::vector<Column> columns) {
  name_ = std::move(name);
  columns_ = std::move(columns);
  if (output_ == Output::kJson) return;
  absl::PrintF("\n%s\n", heading);
  std::string line;
  for (const Column& column : columns_) line += Padded(column.title, column.width) + "  ";
  PrintLine(line);
}

void Report::Row(const std::vector<Value>& values) const {
  MM_CHECK_EQ(values.size(), columns_.size());
  if (output_ == Output::kJson) {
    nlohmann::ordered_json row = {{"table", name_}};
    for (size_t i = 0; i < values.size(); ++i) row[columns_[i].key] = values[i].json;
    absl::PrintF("%s\n", row.dump());
  } else {
    std::string line;
    for (size_t i = 0; i < values.size(); ++i) {
      line += Padded(values[i].text, columns_[i].width) + "  ";
    }
    PrintLine(line);
  }
  std::fflush(stdout);
}

void Report::Note(const std::string& text, const nlohmann::ordered_json& json) const {
  if (output_ == Output::kTable) absl::PrintF("%s\n", text);
  if (output_ == Output::kJson && !json.is_null()) absl::PrintF("%s\n", json.dump());
}

}  // namespace faultline::bench
