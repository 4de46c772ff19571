#pragma once
// `GET /`: a status document and the conflict copies as a page for people. Pure.
//
// One document with its style and script in it, and nothing from elsewhere. Without JavaScript it
// says all that it says with it; with it, what changes is fetched every second while the page is
// looked at. Light and dark, from 320 px on.
#include <string>

#include "apps/p2psync/json.h"

namespace p2psync::app {

/// The conflicts are those of answers.h, the first so many.
[[nodiscard]] std::string status_page(const Json& status, const Json& conflicts);
/// What changes of it: the inside of <main>.
[[nodiscard]] std::string status_part(const Json& status, const Json& conflicts);

}  // namespace p2psync::app
