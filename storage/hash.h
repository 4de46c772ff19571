#pragma once
// SHA-256 of a chunk's bytes, SHA-512/256 of a manifest's: see content.h.
//
// OpenSSL's EVP, which uses the processor's SHA instructions where it has them (measured 1.7 GB/s a
// core). Not thread safe; one object a stream. Running out of memory inside OpenSSL ends the
// process.
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "engine/entry.h"

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace p2psync::storage {

class Sha256 {
 public:
  Sha256();
  Sha256(Sha256&&) noexcept = default;
  Sha256& operator=(Sha256&&) noexcept = default;
  ~Sha256() = default;

  void add(std::span<const std::uint8_t> bytes);
  /// The hash of everything added; the object starts anew.
  [[nodiscard]] engine::Hash finish();

 private:
  struct Free {
    void operator()(::evp_md_ctx_st* context) const;
  };
  std::unique_ptr<::evp_md_ctx_st, Free> context_;
};

[[nodiscard]] engine::Hash sha256(std::span<const std::uint8_t> bytes);
[[nodiscard]] engine::Hash sha256(std::string_view bytes);
[[nodiscard]] engine::Hash sha512_256(std::span<const std::uint8_t> bytes);

/// 64 lower-case hex digits.
[[nodiscard]] std::string to_hex(const engine::Hash& hash);
/// Nothing unless it is exactly what to_hex writes.
[[nodiscard]] std::optional<engine::Hash> from_hex(std::string_view text);

}  // namespace p2psync::storage
