#include "daemon/http/rendering.h"

#include <utility>

namespace conntally::http {
namespace {

constexpr std::size_t kGzipFromBytes = 1024;
// Up to this size the plain body is kept too.
constexpr std::size_t kPlainBytesMax = 1024 * 1024;

}  // namespace

std::shared_ptr<ReplyBody> Rendering::Body(bool gzip_allowed) const {
  if (packed && gzip_allowed) return std::make_shared<ReplyBody>(packed);
  if (plain) return std::make_shared<ReplyBody>(plain);
  return std::make_shared<ReplyBody>(packed, plain_bytes);
}

std::shared_ptr<const Rendering> Encoder::Encode(Response response, std::chrono::steady_clock::time_point began,
                                                 const std::function<bool()>& stopping) {
  Rendering rendering;
  rendering.status = response.status;
  rendering.content_type = std::move(response.content_type);
  rendering.headers = std::move(response.headers);
  rendering.began = began;
  if (auto* text = std::get_if<std::string>(&response.body)) return EncodeText(std::move(*text), std::move(rendering));
  return EncodeStream(std::get<BodyStream>(response.body), std::move(rendering), stopping);
}

std::shared_ptr<const Rendering> Encoder::EncodeText(std::string text, Rendering rendering) {
  rendering.plain_bytes = text.size();
  if (text.size() >= kGzipFromBytes) {
    if (auto packed = compressor_.Compress(text)) rendering.packed = Held(std::move(*packed));
  }
  if (!rendering.packed || text.size() <= kPlainBytesMax) rendering.plain = Held(std::move(text));
  return std::make_shared<const Rendering>(std::move(rendering));
}

std::shared_ptr<const Rendering> Encoder::EncodeStream(const BodyStream& stream, Rendering rendering,
                                                       const std::function<bool()>& stopping) {
  std::string start;
  std::string piece;
  while (!(piece = stream()).empty()) {
    start += piece;
    if (start.size() > kPlainBytesMax) break;
  }
  if (piece.empty()) return EncodeText(std::move(start), std::move(rendering));
  GzipPacker packer;
  for (piece = std::move(start); !piece.empty(); piece = stream()) {
    rendering.plain_bytes += piece.size();
    packer.Add(piece);
    if (stopping() || held_bytes_.load(std::memory_order_relaxed) + packer.packed_bytes() > held_bytes_max_)
      return nullptr;
  }
  rendering.packed = Held(packer.Finish());
  return std::make_shared<const Rendering>(std::move(rendering));
}

}  // namespace conntally::http
