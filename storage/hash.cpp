#include "storage/hash.h"

#include <openssl/evp.h>

#include "engine/error.h"

namespace p2psync::storage {

namespace {

// Fetched once: looking the algorithm up for every small file costs more than hashing it.
const EVP_MD* algorithm() {
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return sha256;
}

int digit_of(char c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

}  // namespace

void Sha256::Free::operator()(::evp_md_ctx_st* context) const {
  EVP_MD_CTX_free(context);
}

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  invariant(context_ != nullptr && algorithm() != nullptr, "OpenSSL has SHA-256");
  invariant(EVP_DigestInit_ex2(context_.get(), algorithm(), nullptr) == 1, "SHA-256 begins");
}

void Sha256::add(std::span<const std::uint8_t> bytes) {
  invariant(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1,
            "SHA-256 takes bytes");
}

engine::Hash Sha256::finish() {
  engine::Hash hash;
  unsigned int length = 0;
  invariant(EVP_DigestFinal_ex(context_.get(), hash.bytes.data(), &length) == 1 &&
                length == hash.bytes.size(),
            "SHA-256 ends");
  invariant(EVP_DigestInit_ex2(context_.get(), algorithm(), nullptr) == 1, "SHA-256 begins");
  return hash;
}

engine::Hash sha256(std::span<const std::uint8_t> bytes) {
  Sha256 sum;
  sum.add(bytes);
  return sum.finish();
}

engine::Hash sha256(std::string_view bytes) {
  return sha256({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()});
}

engine::Hash sha512_256(std::span<const std::uint8_t> bytes) {
  static const EVP_MD* const other = EVP_MD_fetch(nullptr, "SHA512-256", nullptr);
  engine::Hash hash;
  unsigned int length = 0;
  invariant(
      other != nullptr &&
          EVP_Digest(bytes.data(), bytes.size(), hash.bytes.data(), &length, other, nullptr) == 1 &&
          length == hash.bytes.size(),
      "OpenSSL has SHA-512/256");
  return hash;
}

std::string to_hex(const engine::Hash& hash) {
  static constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  text.reserve(2 * hash.bytes.size());
  for (const unsigned byte : hash.bytes) {
    text += digits[byte >> 4U];
    text += digits[byte & 15U];
  }
  return text;
}

std::optional<engine::Hash> from_hex(std::string_view text) {
  engine::Hash hash;
  if (text.size() != 2 * hash.bytes.size()) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < hash.bytes.size(); ++i) {
    const int high = digit_of(text[2 * i]);
    const int low = digit_of(text[2 * i + 1]);
    if (high < 0 || low < 0) {
      return std::nullopt;
    }
    hash.bytes[i] = static_cast<std::uint8_t>(high * 16 + low);
  }
  return hash;
}

}  // namespace p2psync::storage
