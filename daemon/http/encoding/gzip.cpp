#include "daemon/http/encoding/gzip.h"

#include <array>
#include <new>

namespace conntally::http {
namespace {

constexpr int kGzipFormat = 16;  // added to the window's bits: a gzip header and trailer (zlib.h)
constexpr int kMemoryLevel = 8;  // zlib's default

Bytef* Bytes(std::string_view text) { return reinterpret_cast<Bytef*>(const_cast<char*>(text.data())); }

}  // namespace

GzipCompressor::GzipCompressor() : compressor_(libdeflate_alloc_compressor(1)) {}

std::optional<std::string> GzipCompressor::Compress(std::string_view text) {
  if (!compressor_ || text.empty()) return std::nullopt;
  // A buffer of the text's own size: a result that does not fit is not worth sending. It is freed before we return, so
  // a waiting body holds only the compressed bytes.
  const auto buffer = std::make_unique_for_overwrite<char[]>(text.size());
  const std::size_t size =
      libdeflate_gzip_compress(compressor_.get(), text.data(), text.size(), buffer.get(), text.size());
  if (size == 0) return std::nullopt;
  return std::string(buffer.get(), size);
}

GzipPacker::GzipPacker() {
  const int code =
      deflateInit2(&stream_, Z_BEST_SPEED, Z_DEFLATED, MAX_WBITS + kGzipFormat, kMemoryLevel, Z_DEFAULT_STRATEGY);
  if (code != Z_OK) throw std::bad_alloc();
}

std::string GzipPacker::Finish() {
  Write({}, Z_FINISH);
  packed_.shrink_to_fit();
  return std::move(packed_);
}

void GzipPacker::Write(std::string_view piece, int flush) {
  std::array<char, 64 * 1024> out;
  stream_.next_in = Bytes(piece);
  stream_.avail_in = static_cast<uInt>(piece.size());
  do {
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = out.size();
    deflate(&stream_, flush);  // has room, so it cannot fail
    packed_.append(out.data(), out.size() - stream_.avail_out);
  } while (stream_.avail_out == 0);
}

GzipUnpacker::GzipUnpacker() : usable_(inflateInit2(&stream_, MAX_WBITS + kGzipFormat) == Z_OK) {}

std::optional<std::size_t> GzipUnpacker::Unpack(std::string_view& packed, std::span<char> into) {
  if (!usable_) return std::nullopt;
  stream_.next_in = Bytes(packed);
  stream_.avail_in = static_cast<uInt>(packed.size());
  stream_.next_out = reinterpret_cast<Bytef*>(into.data());
  stream_.avail_out = static_cast<uInt>(into.size());
  const int code = inflate(&stream_, Z_NO_FLUSH);
  if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) return std::nullopt;
  packed.remove_prefix(packed.size() - stream_.avail_in);
  return into.size() - stream_.avail_out;
}

}  // namespace conntally::http
