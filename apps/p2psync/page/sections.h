#pragma once
// `GET /`: what a node knows of the cluster, as a page for people. Pure.
//
// Made of parts, elements with an id each, so that a page which is open can be told only those that
// have changed (live.h). Without the script it says all that it says with it, as of when it was
// loaded.
#include <string>
#include <vector>

#include "apps/p2psync/json.h"
#include "apps/p2psync/page/live.h"

namespace p2psync::app {

/// So many conflict copies and happenings are on the page.
inline constexpr std::size_t conflicts_shown_max = 100;
inline constexpr std::size_t happenings_shown_max = 40;

/// What it is made of: the documents of `status` and `conflicts` (the first so many), what
/// lacking() and a Diary give.
struct Overview {
  Json status;
  Json conflicts;
  Json lacking;
  Json happenings;
  Json day;
};
[[nodiscard]] std::vector<Part> overview_parts(const Overview& overview);
[[nodiscard]] std::string overview_page(const Overview& overview);

}  // namespace p2psync::app
