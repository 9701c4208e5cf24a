// A response's body on its way to one client: a string or a stream, read in pieces as the client takes them.
// The server's thread only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <variant>

#include "daemon/http/message.h"

namespace conntally::http {

class ReplyBody {
 public:
  // `held_bytes` is where the memory of all bodies is summed up; it outlives this.
  ReplyBody(std::variant<std::string, BodyStream> content, std::size_t& held_bytes);
  ~ReplyBody();
  ReplyBody(const ReplyBody&) = delete;
  ReplyBody& operator=(const ReplyBody&) = delete;

  // nullopt: a stream, whose size only its end tells.
  std::optional<std::uint64_t> size() const;

  // Copies what comes next; 0 at the end, nullopt once dropped. Passes on what the stream throws.
  std::optional<std::size_t> Read(std::span<char> into);

  // Gives the memory back now, though the client has not taken everything.
  void Drop();

 private:
  void Hold(std::string piece);

  BodyStream stream_;  // empty for a string
  std::string piece_;
  std::size_t piece_taken_bytes_ = 0;
  bool dropped_ = false;
  std::size_t& held_bytes_;
};

}  // namespace conntally::http
