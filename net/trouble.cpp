#include "net/trouble.h"

#include <fmt/format.h>

namespace p2psync::net {

std::string Trouble::text(Instant now) const {
  if (fault_.empty() || now - fault_at_ > told_for) {
    return why_down_;
  }
  const auto ago = std::chrono::duration_cast<std::chrono::seconds>(now - fault_at_);
  std::string line = fmt::format("cut off {} s ago: {}", ago.count(), fault_);
  return why_down_.empty() ? line : line + "; " + why_down_;
}

}  // namespace p2psync::net
