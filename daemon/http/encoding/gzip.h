// gzip. A whole body by libdeflate at its fastest level: 10 to 14 ms for a 5.6 MB scrape where zlib takes 75 to 92. A
// body that comes in pieces by zlib, since libdeflate takes whole ones only. Each object serves one thread at a time.
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

  // nullopt when there is no memory for it, or the result would not be shorter.
  std::optional<std::string> Compress(std::string_view text);

 private:
  struct Free {
    void operator()(libdeflate_compressor* compressor) const { libdeflate_free_compressor(compressor); }
  };
  std::unique_ptr<libdeflate_compressor, Free> compressor_;  // null: no memory
};

// Packs pieces, at zlib's fastest level. Throws std::bad_alloc.
class GzipPacker {
 public:
  GzipPacker();
  ~GzipPacker() { deflateEnd(&stream_); }
  GzipPacker(const GzipPacker&) = delete;
  GzipPacker& operator=(const GzipPacker&) = delete;

  void Add(std::string_view piece) { Write(piece, Z_NO_FLUSH); }
  std::size_t packed_bytes() const { return packed_.size(); }
  // The whole, after the last piece.
  std::string Finish();

 private:
  void Write(std::string_view piece, int flush);

  z_stream stream_{};
  std::string packed_;
};

// Unpacks what one of the above packed, piece by piece. Some 40 kB.
class GzipUnpacker {
 public:
  GzipUnpacker();
  ~GzipUnpacker() { inflateEnd(&stream_); }
  GzipUnpacker(const GzipUnpacker&) = delete;
  GzipUnpacker& operator=(const GzipUnpacker&) = delete;

  // Takes off the front of `packed` what it needs to fill `into`; how much it filled, less than all only at the end.
  // nullopt: it is no gzip, or there is no memory.
  std::optional<std::size_t> Unpack(std::string_view& packed, std::span<char> into);

 private:
  z_stream stream_{};
  bool usable_ = false;
};

}  // namespace conntally::http
