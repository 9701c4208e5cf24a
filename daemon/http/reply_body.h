// A response's body on its way to one client: a text or a stream, read in pieces as the client takes them.
// The server's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "daemon/http/message.h"

namespace conntally::http {

// Text in memory for as long as some client has yet to take it, perhaps many of them.
class HeldText {
 public:
  // `held_bytes` is where all such memory is summed up; it outlives this.
  HeldText(std::string text, std::size_t& held_bytes) : text_(std::move(text)), held_bytes_(held_bytes) {
    held_bytes_ += text_.size();
  }
  ~HeldText() { held_bytes_ -= text_.size(); }
  HeldText(const HeldText&) = delete;
  HeldText& operator=(const HeldText&) = delete;

  const std::string& text() const { return text_; }

 private:
  const std::string text_;
  std::size_t& held_bytes_;
};

class ReplyBody {
 public:
  explicit ReplyBody(std::shared_ptr<const HeldText> text) : piece_(std::move(text)) {}
  ReplyBody(BodyStream stream, std::size_t& held_bytes)
      : stream_(std::move(stream)), held_bytes_(&held_bytes) {}

  // nullopt: a stream, whose size only its end tells.
  std::optional<std::uint64_t> size() const;

  // Copies what comes next; 0 at the end, nullopt once dropped. Passes on what the stream throws.
  std::optional<std::size_t> Read(std::span<char> into);

  // Lets go of the memory now, though the client has not taken everything.
  void Drop();

 private:
  BodyStream stream_;                  // empty for a text
  std::size_t* held_bytes_ = nullptr;  // of a stream
  std::shared_ptr<const HeldText> piece_;
  std::size_t piece_taken_bytes_ = 0;
  bool dropped_ = false;
};

}  // namespace conntally::http
