// SPDX-License-Identifier: Apache-2.0
//
// U from midranks, and p from it.
//
// The number of orders of m and n values that have a given U is a coefficient of the Gaussian
// binomial: the product over i = 1..n of (1 - q^(m+i)) / (1 - q^i). Every partial product is a
// Gaussian binomial itself, so all numbers on the way are whole, and doubles hold them exactly as
// long as C(m+n, n) is below 2^53: 56 values together.
#include "client/measure/mann_whitney.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <span>
#include <vector>

namespace faultline::client {
namespace {

struct Ranked {
  double value;
  double in_a;  // 1 or 0
};

struct RankSum {
  /// Of the first sample.
  double sum = 0;
  /// Of t^3 - t over groups of t equal values.
  double ties = 0;
};

std::vector<Ranked> Sorted(std::span<const double> a, std::span<const double> b) {
  std::vector<Ranked> all;
  all.reserve(a.size() + b.size());
  for (const double value : a) all.push_back({.value = value, .in_a = 1});
  for (const double value : b) all.push_back({.value = value, .in_a = 0});
  std::sort(all.begin(), all.end(),
            [](const Ranked& x, const Ranked& y) { return x.value < y.value; });
  return all;
}

/// Equal values share the mean of their ranks.
RankSum RankSumOf(std::span<const Ranked> all) {
  RankSum result;
  for (std::size_t begin = 0; begin < all.size();) {
    std::size_t end = begin;
    double in_a = 0;
    for (; end < all.size() && all[end].value == all[begin].value; ++end) in_a += all[end].in_a;
    result.sum += in_a * static_cast<double>(begin + 1 + end) / 2;
    const auto equal = static_cast<double>(end - begin);
    result.ties += equal * equal * equal - equal;
    begin = end;
  }
  return result;
}

double NormalP(double size_a, double size_b, double u, double ties) {
  const double all = size_a + size_b;
  const double variance = size_a * size_b / 12 * (all + 1 - ties / (all * (all - 1)));
  const double distance = std::max(0.0, std::abs(u - size_a * size_b / 2) - 0.5);
  return variance > 0 ? std::erfc(distance / std::sqrt(2 * variance)) : 1;
}

}  // namespace

MannWhitney MannWhitneyTest(std::span<const double> a, std::span<const double> b) {
  const RankSum ranks = RankSumOf(Sorted(a, b));
  const auto size_a = static_cast<double>(a.size());
  const auto size_b = static_cast<double>(b.size());
  const double u = ranks.sum - size_a * (size_a + 1) / 2;
  if (ranks.ties == 0 && a.size() + b.size() <= kMostForExactP)
    return {.u = u,
            .p = ExactP(a.size(), b.size(), static_cast<uint64_t>(u)),
            .method = PMethod::kExact};
  return {.u = u, .p = NormalP(size_a, size_b, u, ranks.ties), .method = PMethod::kNormal};
}

double ExactP(std::size_t size_a, std::size_t size_b, uint64_t u) {
  const std::size_t most = size_a * size_b;
  std::vector<double> orders(most + 1, 0);
  orders[0] = 1;
  for (std::size_t i = 1; i <= size_b; ++i) {
    for (std::size_t k = most; k >= size_a + i; --k) orders[k] -= orders[k - size_a - i];
    for (std::size_t k = i; k <= most; ++k) orders[k] += orders[k - i];
  }
  const std::size_t nearer_end = std::min<std::size_t>(u, most - u);
  const auto end = orders.begin() + static_cast<std::ptrdiff_t>(nearer_end) + 1;
  const double all = std::accumulate(orders.begin(), orders.end(), 0.0);
  return std::min(1.0, 2 * std::accumulate(orders.begin(), end, 0.0) / all);
}

}  // namespace faultline::client
