// Makes foreign text safe for a terminal: rules' comments, names, log prefixes, a daemon's answers. A terminal obeys
// some characters; others hide or reverse the text beside them. Pure; any thread.
//
// These are: control characters (C0, DEL, and C1, in UTF-8 C2 80 to C2 9F), characters that change the direction of
// text or have no width, separators of lines and paragraphs, tags, and bytes that are not UTF-8.
#pragma once

#include <cstddef>
#include <ostream>
#include <streambuf>
#include <string>
#include <string_view>

namespace conntally {

// Bytes in the UTF-8 character at the start of `text` (RFC 3629); 0 if there is none.
std::size_t Utf8Length(std::string_view text);

// `text` on one line: white space becomes a space, each other unsafe character '?'.
std::string ShownLine(std::string_view text);
// The same, with at most `bytes_max` bytes.
std::string ShownLine(std::string_view text, std::size_t bytes_max);

// `json` with each unsafe character in its strings escaped (\u202e): the same document to a program. Its own line
// breaks stay; it must be valid.
std::string ShownJson(std::string_view json);

// While it lives, text written to `stream` is filtered like ShownLine, except that line breaks and tabs stay. The last
// filter before a terminal.
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
  std::string begun_;  // the start of a character that is not complete yet
};

}  // namespace conntally
