// gzip. libdeflate compresses a whole body at its fastest level: 10 to 14 ms for a 5.6 MB scrape, where zlib takes 75
// to 92. zlib compresses a body that comes in pieces, since libdeflate takes only whole ones. Each object serves one
// thread at a time.
#pragma once

#include <libdeflate.h>
#include <zlib.h>

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace conntally::http {

class GzipCompressor {
 public:
  GzipCompressor();

  // nullopt if memory is short, or the result would not be shorter.
  std::optional<std::string> Compress(std::string_view text);

 private:
  struct Free {
    void operator()(libdeflate_compressor* compressor) const { libdeflate_free_compressor(compressor); }
  };
  std::unique_ptr<libdeflate_compressor, Free> compressor_;  // null: no memory
};

// Compresses pieces, at zlib's fastest level. Throws std::bad_alloc.
class GzipPacker {
 public:
  GzipPacker();
  ~GzipPacker() { deflateEnd(&stream_); }
  GzipPacker(const GzipPacker&) = delete;
  GzipPacker& operator=(const GzipPacker&) = delete;

  void Add(std::string_view piece) { Write(piece, Z_NO_FLUSH); }
  std::size_t packed_bytes() const { return packed_.size(); }
  // The whole result, after the last piece.
  std::string Finish();

 private:
  void Write(std::string_view piece, int flush);

  z_stream stream_{};
  std::string packed_;
};

// Decompresses, piece by piece, what one of the above compressed. Takes some 40 kB.
class GzipUnpacker {
 public:
  GzipUnpacker();
  ~GzipUnpacker() { inflateEnd(&stream_); }
  GzipUnpacker(const GzipUnpacker&) = delete;
  GzipUnpacker& operator=(const GzipUnpacker&) = delete;

  // Removes from the front of `packed` what it needs to fill `into`. Returns how much it filled: less than all only at
  // the end. nullopt: not gzip, or memory is short.
  std::optional<std::size_t> Unpack(std::string_view& packed, std::span<char> into);

 private:
  z_stream stream_{};
  bool usable_ = false;
};

}  // namespace conntally::http
