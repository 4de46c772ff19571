#pragma once
// What lets a page change anything: a random text that only the control socket gives out, another
// one for each run of the node. 256 bits; kept in memory alone, compared in constant time.
#include <string>
#include <string_view>

namespace p2psync::app {

class PageToken {
 public:
  PageToken();
  [[nodiscard]] const std::string& text() const { return text_; }
  /// The header `Authorization: Bearer TOKEN` brings it.
  [[nodiscard]] bool is_in(std::string_view authorization) const;

 private:
  std::string text_;
};

}  // namespace p2psync::app
