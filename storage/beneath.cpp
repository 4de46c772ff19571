#include "storage/beneath.h"

#include <algorithm>

#include "engine/path.h"

namespace p2psync::storage {

Result<Beneath> Beneath::of(std::string_view operation, std::string_view path) {
  bool good = path.size() <= engine::path_bytes_max && !path.contains('\0');
  for (std::size_t begin = 0; good && begin <= path.size();) {
    const std::size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    good = !name.empty() && name != "." && name != "..";
    begin = end + 1;
  }
  if (!good) {
    return std::unexpected(Error{ErrorCode::invalid, std::string(operation), std::string(path)});
  }
  return Beneath(path);
}

std::optional<Beneath> Beneath::parent() const {
  return name_at_ == 0 ? std::nullopt
                       : std::optional(Beneath(std::string_view(text_).substr(0, name_at_ - 1)));
}

}  // namespace p2psync::storage
