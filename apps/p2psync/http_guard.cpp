#include "apps/p2psync/http_guard.h"

#include <algorithm>
#include <asio/ip/address.hpp>

namespace p2psync::app {
namespace {

std::string_view host_of(std::string_view header) {
  if (header.starts_with('[')) {
    const std::size_t end = header.find(']');
    return end == std::string_view::npos ? std::string_view() : header.substr(1, end - 1);
  }
  return header.substr(0, header.find(':'));
}

}  // namespace

bool is_own_host(std::string_view header, const std::set<std::string>& names) {
  std::string host(host_of(header));
  std::ranges::transform(host, host.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  if (header.empty() || host == "localhost" || names.contains(host)) {
    return true;  // no browser leaves Host out
  }
  asio::error_code error;
  [[maybe_unused]] const auto address = asio::ip::make_address(host, error);
  return !error;
}

bool is_own_page(const AskingPage& page, bool reads) {
  // Behind a proxy that speaks TLS the page's own origin has the other scheme.
  const bool own_origin = page.origin.empty() || page.origin == "http://" + page.host ||
                          page.origin == "https://" + page.host;
  const bool own_site = page.site.empty() || page.site == "same-origin" || page.site == "none";
  const bool followed_link = reads && page.mode == "navigate" && page.to == "document";
  return own_origin && (own_site || followed_link);
}

}  // namespace p2psync::app
