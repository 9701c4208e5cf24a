// A response's body as sent to one client, read in pieces as the client takes them. The server's thread only; HeldText
// may be created on any thread.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "daemon/http/encoding/gzip.h"

namespace conntally::http {

// Text that stays in memory until all its clients, perhaps many, have taken it.
class HeldText {
 public:
  // `held_bytes` sums up all such memory (relaxed: independent of other data); it must outlive this object.
  HeldText(std::string text, std::atomic<std::size_t>& held_bytes) : text_(std::move(text)), held_bytes_(held_bytes) {
    held_bytes_.fetch_add(text_.size(), std::memory_order_relaxed);
  }
  ~HeldText() { held_bytes_.fetch_sub(text_.size(), std::memory_order_relaxed); }
  HeldText(const HeldText&) = delete;
  HeldText& operator=(const HeldText&) = delete;

  const std::string& text() const { return text_; }

 private:
  const std::string text_;
  std::atomic<std::size_t>& held_bytes_;
};

class ReplyBody {
 public:
  // Sent as it is.
  explicit ReplyBody(std::shared_ptr<const HeldText> text)
      : text_(std::move(text)), left_(text_->text()), size_(left_.size()) {}
  // Decompressed while sent, to `unpacked_bytes`.
  ReplyBody(std::shared_ptr<const HeldText> packed, std::uint64_t unpacked_bytes)
      : text_(std::move(packed)),
        left_(text_->text()),
        size_(unpacked_bytes),
        unpacker_(std::make_unique<GzipUnpacker>()) {}

  std::uint64_t size() const { return size_; }

  // Copies the next bytes; 0 at the end, nullopt once dropped, or if it cannot be decompressed.
  std::optional<std::size_t> Read(std::span<char> into);

  // Frees the memory now, even if the client has not taken everything.
  void Drop();

 private:
  std::shared_ptr<const HeldText> text_;  // null once dropped
  std::string_view left_;                 // not sent yet
  std::uint64_t size_;
  std::unique_ptr<GzipUnpacker> unpacker_;  // null: none needed
};

}  // namespace conntally::http
