// Text from others on its way to a terminal: rules' comments, names, log prefixes, a daemon's answers. A terminal obeys
// some characters, and others hide or turn round what stands beside them. Pure; any thread.
//
// Those are: control characters (C0, DEL, and C1, which UTF-8 writes as C2 80 to C2 9F), what changes the direction of
// text, what has no width, separators of lines and paragraphs, tags, and bytes that are no UTF-8.
#pragma once

#include <cstddef>
#include <ostream>
#include <streambuf>
#include <string>
#include <string_view>

namespace conntally {

// Bytes in the UTF-8 character at the front of `text` (RFC 3629), 0 when there is none.
std::size_t Utf8Length(std::string_view text);

// `text` on one line: white space as spaces, each other such character as '?'.
std::string ShownLine(std::string_view text);
// The same, of `bytes_max` bytes at most.
std::string ShownLine(std::string_view text, std::size_t bytes_max);

// `json` with each such character within its strings escaped (\u202e): the same document to a program. Its own line
// breaks stay; it must be valid.
std::string ShownJson(std::string_view json);

// While it lives, what is written to `stream` passes as ShownLine would pass it, but for
// line breaks and tabs, which stay. The last gate before a
// terminal, for what reached it in another way.
class ShownStream : private std::streambuf {
 public:
  explicit ShownStream(std::ostream& stream) : stream_(stream), behind_(stream.rdbuf(this)) {}
  ~ShownStream() override;
  ShownStream(const ShownStream&) = delete;
  ShownStream& operator=(const ShownStream&) = delete;

 private:
  int_type overflow(int_type character) override;
  std::streamsize xsputn(const char* text, std::streamsize size) override;
  int sync() override;
  bool Pass(std::string_view text);

  std::ostream& stream_;
  std::streambuf* const behind_;
  std::string begun_;  // a character whose end has not been written yet
};

}  // namespace conntally
