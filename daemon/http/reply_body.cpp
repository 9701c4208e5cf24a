#include "daemon/http/reply_body.h"

#include <algorithm>
#include <utility>

namespace conntally::http {

ReplyBody::ReplyBody(std::variant<std::string, BodyStream> content, std::size_t& held_bytes)
    : held_bytes_(held_bytes) {
  if (auto* stream = std::get_if<BodyStream>(&content)) {
    stream_ = std::move(*stream);
  } else {
    Hold(std::move(std::get<std::string>(content)));
  }
}

ReplyBody::~ReplyBody() { Drop(); }

std::optional<std::uint64_t> ReplyBody::size() const {
  if (stream_) return std::nullopt;
  return piece_.size();
}

std::optional<std::size_t> ReplyBody::Read(std::span<char> into) {
  if (dropped_) return std::nullopt;
  if (stream_ && piece_taken_bytes_ == piece_.size()) Hold(stream_());
  const std::size_t count = std::min(into.size(), piece_.size() - piece_taken_bytes_);
  std::copy_n(piece_.data() + piece_taken_bytes_, count, into.data());
  piece_taken_bytes_ += count;
  return count;
}

void ReplyBody::Drop() {
  Hold({});
  stream_ = nullptr;
  dropped_ = true;
}

void ReplyBody::Hold(std::string piece) {
  held_bytes_ -= piece_.capacity();
  // Not an assignment: from an empty string it keeps the old buffer.
  piece_.swap(piece);
  piece_taken_bytes_ = 0;
  held_bytes_ += piece_.capacity();
}

}  // namespace conntally::http
