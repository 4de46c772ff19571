#include "apps/p2psync/page/line_diff.h"

#include <algorithm>
#include <unordered_map>

namespace p2psync::app {
namespace {

/// Equal lines are equal numbers: each line is compared as text only once.
using Numbers = std::vector<std::size_t>;

Numbers numbered(const std::vector<std::string_view>& lines,
                 std::unordered_map<std::string_view, std::size_t>& known) {
  Numbers numbers;
  numbers.reserve(lines.size());
  for (const std::string_view line : lines) {
    numbers.push_back(known.try_emplace(line, known.size()).first->second);
  }
  return numbers;
}

/// The part of both texts in which they differ, [from, to) each.
struct Middle {
  std::size_t from = 0;
  std::size_t left_to = 0;
  std::size_t right_to = 0;
};

/// Pairs of lines that stay, in order: a longest common subsequence of the middle. Empty when more
/// than edits_max lines differ.
std::vector<std::pair<std::size_t, std::size_t>> kept(const Numbers& left, const Numbers& right,
                                                      const Middle& middle) {
  const auto n = static_cast<std::ptrdiff_t>(middle.left_to - middle.from);
  const auto m = static_cast<std::ptrdiff_t>(middle.right_to - middle.from);
  const auto most = std::min(n + m, static_cast<std::ptrdiff_t>(edits_max));
  const auto equal = [&](std::ptrdiff_t x, std::ptrdiff_t y) {
    return left[middle.from + static_cast<std::size_t>(x)] ==
           right[middle.from + static_cast<std::size_t>(y)];
  };
  // reach[d][k + d]: with d edits, how far down the left text one comes on the diagonal k = x - y.
  std::vector<std::vector<std::ptrdiff_t>> reach;
  const auto at = [&](std::ptrdiff_t edits, std::ptrdiff_t k) -> std::ptrdiff_t& {
    return reach[static_cast<std::size_t>(edits)][static_cast<std::size_t>(k + edits)];
  };
  const auto start = [&](std::ptrdiff_t edits, std::ptrdiff_t k) {
    if (edits == 0) {
      return std::ptrdiff_t{0};
    }
    const bool down = k == -edits || (k != edits && at(edits - 1, k - 1) < at(edits - 1, k + 1));
    return down ? at(edits - 1, k + 1) : at(edits - 1, k - 1) + 1;
  };
  for (std::ptrdiff_t edits = 0; edits <= most; ++edits) {
    reach.emplace_back(static_cast<std::size_t>(2 * edits + 1), 0);
    for (std::ptrdiff_t k = -edits; k <= edits; k += 2) {
      std::ptrdiff_t x = start(edits, k);
      while (x >= 0 && x < n && x - k >= 0 && x - k < m && equal(x, x - k)) {
        ++x;
      }
      at(edits, k) = x;
      if (x < n || x - k < m) {
        continue;
      }
      // There: back along the way that led here.
      std::vector<std::pair<std::size_t, std::size_t>> pairs;
      for (std::ptrdiff_t left_edits = edits; left_edits >= 0; --left_edits) {
        const std::ptrdiff_t from = start(left_edits, k);
        for (std::ptrdiff_t back = x; back > from; --back) {
          pairs.emplace_back(middle.from + static_cast<std::size_t>(back - 1),
                             middle.from + static_cast<std::size_t>(back - 1 - k));
        }
        if (left_edits > 0) {
          const bool down = k == -left_edits || (k != left_edits && at(left_edits - 1, k - 1) <
                                                                        at(left_edits - 1, k + 1));
          k += down ? 1 : -1;
          x = at(left_edits - 1, k);
        }
      }
      std::ranges::reverse(pairs);
      return pairs;
    }
  }
  return {};
}

}  // namespace

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(text.substr(0, end));
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  }
  return lines;
}

std::vector<DiffRow> line_diff(const std::vector<std::string_view>& left,
                               const std::vector<std::string_view>& right) {
  std::unordered_map<std::string_view, std::size_t> known;
  const Numbers of_left = numbered(left, known);
  const Numbers of_right = numbered(right, known);
  Middle middle{0, left.size(), right.size()};
  while (middle.from < middle.left_to && middle.from < middle.right_to &&
         of_left[middle.from] == of_right[middle.from]) {
    ++middle.from;
  }
  while (middle.left_to > middle.from && middle.right_to > middle.from &&
         of_left[middle.left_to - 1] == of_right[middle.right_to - 1]) {
    --middle.left_to;
    --middle.right_to;
  }
  std::vector<DiffRow> rows;
  std::size_t x = 0;
  std::size_t y = 0;
  const auto differ_until = [&](std::size_t left_to, std::size_t right_to) {
    while (x < left_to || y < right_to) {
      rows.push_back({x < left_to ? std::optional(x++) : std::nullopt,
                      y < right_to ? std::optional(y++) : std::nullopt, false});
    }
  };
  const auto stay = [&](std::size_t left_line, std::size_t right_line) {
    differ_until(left_line, right_line);
    rows.push_back({x++, y++, true});
  };
  while (x < middle.from) {
    rows.push_back({x++, y++, true});
  }
  for (const auto& [left_line, right_line] : kept(of_left, of_right, middle)) {
    stay(left_line, right_line);
  }
  differ_until(middle.left_to, middle.right_to);
  while (x < left.size()) {
    rows.push_back({x++, y++, true});
  }
  return rows;
}

}  // namespace p2psync::app
