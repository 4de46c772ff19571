#include "engine/error.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace p2psync {

std::string Error::message() const {
  std::string text = operation;
  if (!object.empty()) {
    text += ' ';
    text += object;
  }
  const char* reason = nullptr;
  switch (code) {
    case ErrorCode::not_found: reason = "not found"; break;
    case ErrorCode::changed: reason = "changed meanwhile"; break;
    case ErrorCode::unsupported: reason = "not supported"; break;
    case ErrorCode::corrupt: reason = "corrupt"; break;
    case ErrorCode::invalid: reason = "invalid"; break;
    case ErrorCode::busy: reason = "busy"; break;
    case ErrorCode::newer: reason = "written by a newer version"; break;
    case ErrorCode::no_space: reason = "no space left"; break;
    case ErrorCode::denied: reason = "permission denied"; break;
    case ErrorCode::io: reason = "failed"; break;
  }
  text += ": ";
  text += error_number != 0 ? std::strerror(error_number) : reason;
  return text;
}

Error system_error(std::string_view operation, std::string_view object, int number) {
  ErrorCode code = ErrorCode::io;
  switch (number) {
    case ENOENT:
    case ENOTDIR: code = ErrorCode::not_found; break;
    case EEXIST:
    case ENOTEMPTY:
    case EISDIR: code = ErrorCode::changed; break;
    case ENOSPC:
    case EDQUOT: code = ErrorCode::no_space; break;
    case EACCES:
    case EPERM:
    case EROFS: code = ErrorCode::denied; break;
    case EOPNOTSUPP:
    case ENOSYS: code = ErrorCode::unsupported; break;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP: code = ErrorCode::invalid; break;
    case EBUSY:
    case EAGAIN:
    case ETXTBSY: code = ErrorCode::busy; break;
    default: break;
  }
  return {code, std::string(operation), std::string(object), number};
}

void invariant_failed(std::string_view what, const char* file, int line) {
  std::fprintf(stderr, "p2psync: invariant broken at %s:%d: %.*s\n", file, line,
               static_cast<int>(what.size()), what.data());
  std::abort();
}

}  // namespace p2psync
