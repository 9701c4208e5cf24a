// A rendered answer, shared by all clients that sent the same request. Immutable once made; any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "daemon/http/encoding/gzip.h"
#include "daemon/http/encoding/reply_body.h"
#include "daemon/http/message.h"

namespace conntally::http {

struct Rendering {
  int status = 200;
  std::string content_type;
  std::multimap<std::string, std::string> headers;
  // A short body is kept plain, and also compressed if that is shorter. A long one is kept only compressed; for clients
  // without gzip it is decompressed while it is sent.
  std::shared_ptr<const HeldText> plain;
  std::shared_ptr<const HeldText> packed;
  std::uint64_t plain_bytes = 0;
  std::chrono::steady_clock::time_point began{};  // its figures are no older than this

  bool varies() const { return packed != nullptr; }
  std::shared_ptr<ReplyBody> Body(bool gzip_allowed) const;
};

// Makes renderings; one thread at a time.
class Encoder {
 public:
  // `held_bytes` sums up the memory of all renderings, and must outlive them. Beyond `held_bytes_max` a stream is given
  // up.
  Encoder(std::atomic<std::size_t>& held_bytes, std::size_t held_bytes_max)
      : held_bytes_(held_bytes), held_bytes_max_(held_bytes_max) {}

  // Reads a stream's pieces, until `stopping` is true. nullptr: memory is short, or it was stopped. Passes on the
  // stream's exceptions.
  std::shared_ptr<const Rendering> Encode(Response response, std::chrono::steady_clock::time_point began,
                                          const std::function<bool()>& stopping);

 private:
  std::shared_ptr<const Rendering> EncodeText(std::string text, Rendering rendering);
  std::shared_ptr<const Rendering> EncodeStream(const BodyStream& stream, Rendering rendering,
                                                const std::function<bool()>& stopping);
  std::shared_ptr<const HeldText> Held(std::string text) {
    return std::make_shared<const HeldText>(std::move(text), held_bytes_);
  }

  std::atomic<std::size_t>& held_bytes_;
  const std::size_t held_bytes_max_;
  GzipCompressor compressor_;
};

}  // namespace conntally::http
