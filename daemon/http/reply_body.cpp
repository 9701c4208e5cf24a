#include "daemon/http/reply_body.h"

#include <algorithm>
#include <utility>

namespace conntally::http {

std::optional<std::uint64_t> ReplyBody::size() const {
  if (stream_) return std::nullopt;
  return piece_->text().size();
}

std::optional<std::size_t> ReplyBody::Read(std::span<char> into) {
  if (dropped_) return std::nullopt;
  if (stream_ && (!piece_ || piece_taken_bytes_ == piece_->text().size())) {
    piece_.reset();
    piece_ = std::make_shared<const HeldText>(stream_(), *held_bytes_);
    piece_taken_bytes_ = 0;
  }
  const std::string& text = piece_->text();
  const std::size_t count = std::min(into.size(), text.size() - piece_taken_bytes_);
  std::copy_n(text.data() + piece_taken_bytes_, count, into.data());
  piece_taken_bytes_ += count;
  return count;
}

void ReplyBody::Drop() {
  dropped_ = true;
  piece_.reset();
  stream_ = nullptr;
}

}  // namespace conntally::http
