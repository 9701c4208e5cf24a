#include "daemon/http/gzip.h"

namespace conntally::http {

GzipCompressor::GzipCompressor() : compressor_(libdeflate_alloc_compressor(1)) {}

std::optional<std::string> GzipCompressor::Compress(std::string_view text) {
  if (!compressor_ || text.empty()) return std::nullopt;
  // A buffer of the text's own size: what does not fit there is not worth sending. It goes before we return,
  // so that a body waiting for its client holds only the compressed bytes.
  const auto buffer = std::make_unique_for_overwrite<char[]>(text.size());
  const std::size_t size =
      libdeflate_gzip_compress(compressor_.get(), text.data(), text.size(), buffer.get(), text.size());
  if (size == 0) return std::nullopt;
  return std::string(buffer.get(), size);
}

}  // namespace conntally::http
