#include "daemon/http/encoding/reply_body.h"

#include <algorithm>

namespace conntally::http {

std::optional<std::size_t> ReplyBody::Read(std::span<char> into) {
  if (!text_) return std::nullopt;
  if (unpacker_) return unpacker_->Unpack(left_, into);
  const std::size_t count = std::min(into.size(), left_.size());
  std::copy_n(left_.data(), count, into.data());
  left_.remove_prefix(count);
  return count;
}

void ReplyBody::Drop() {
  text_.reset();
  left_ = {};
  unpacker_.reset();
}

}  // namespace conntally::http
