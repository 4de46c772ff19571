#pragma once
// A status document as a table for people. Pure: the same document gives the same text.
#include <string>

#include "apps/p2psync/json.h"

namespace p2psync::app {

struct TableStyle {
  bool colour = false;          ///< ANSI colours and a progress bar
  std::int64_t most_bytes = 0;  ///< the most that was pending since nothing was: what 100% means
};

/// Ends with a line feed. Control characters in names stand as '?'.
[[nodiscard]] std::string status_table(const Json& status, const TableStyle& style);

}  // namespace p2psync::app
