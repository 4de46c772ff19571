#pragma once
// Pieces of HTML that several parts of the page are made of. Pure. Whatever comes from elsewhere
// goes through escaped() or url(): names of files are any bytes.
#include <string>
#include <string_view>

#include "apps/p2psync/json.h"

namespace p2psync::app {

/// As text or in an attribute; control characters become '?', and what is not UTF-8 U+FFFD.
[[nodiscard]] std::string escaped(std::string_view text);
/// The same, but line feeds and tabs stay: of what is in a file.
[[nodiscard]] std::string escaped_content(std::string_view text);
/// As the value of a query: every byte that is not plain as %XX.
[[nodiscard]] std::string in_query(std::string_view bytes);
/// A size in a document.
[[nodiscard]] std::string size_of(const Json& bytes);
/// A time in a document (RFC 3339), for the script to show in local time; "" for null.
[[nodiscard]] std::string time_element(const Json& time);
/// A part of the page; hidden where there is nothing in it.
[[nodiscard]] std::string section(std::string_view id, std::string_view heading,
                                  std::string_view body);
/// `name="PATH"`, and `name-bytes="..."` in base64 where it is not UTF-8: see add_path().
[[nodiscard]] std::string path_attribute(std::string_view name, std::string_view path);

[[nodiscard]] bool is_paused(const Json& status);
/// good, busy or bad: how a member, or this node, is marked.
[[nodiscard]] std::string_view mark_of_state(std::string_view state);
/// `status`: the node's. One that is paused has asked nobody for an answer.
[[nodiscard]] std::string_view mark_of_peer(const Json& peer, const Json& status);
[[nodiscard]] std::string words_of_state(std::string_view state);
[[nodiscard]] std::string_view words_of_peer(const Json& peer, const Json& status);

/// The whole document; `page` names what the script is to do with it ("live" or "compare").
[[nodiscard]] std::string document(std::string_view title, std::string_view page,
                                   std::string_view body);

}  // namespace p2psync::app
