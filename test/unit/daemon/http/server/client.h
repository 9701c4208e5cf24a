// A small HTTP client on a real socket, and the ill-behaved sorts of client. Test code; one thread each.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "collectors/system/file_descriptor.h"

namespace conntally::http::test {

using namespace std::chrono_literals;

// No answer within this is a hang.
inline constexpr auto kHang = 5s;

struct Reply {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
};

class Client {
 public:
  // Connected to 127.0.0.1; a small receive buffer makes the server feel a slow reader soon.
  explicit Client(std::uint16_t port, int receive_buffer_bytes = 0);

  bool connected() const { return connected_; }
  int descriptor() const { return socket_.get(); }
  // False once the server has closed the connection.
  bool Send(std::string_view bytes);
  // Up to `bytes_max` of what there is, waiting at most `wait`; nullopt when nothing came, empty when closed.
  std::optional<std::string> Receive(std::size_t bytes_max, std::chrono::milliseconds wait = kHang);
  // The next response; nullopt when it is not whole within kHang or the connection was cut. `head`: it has no
  // body.
  std::optional<Reply> ReadReply(bool head = false);
  std::optional<Reply> Get(const std::string& target, const std::string& more_headers = "");
  bool WaitClosed(std::chrono::milliseconds wait = kHang);

 private:
  bool Fill();
  std::optional<std::string> TakeLine();
  bool TakeBytes(std::size_t count, std::string& into);
  bool TakeChunks(std::string& into);

  FileDescriptor socket_;
  bool connected_ = false;
  std::string read_;
};

// One request on a connection of its own.
std::optional<Reply> Fetch(std::uint16_t port, const std::string& target, const std::string& more_headers = "");
std::optional<Reply> Ask(std::uint16_t port, const std::string& whole_request, bool head = false);

// Waits until `condition` holds, kHang at most; whether it does.
template <typename Condition>
bool Eventually(Condition condition);

std::string Gunzipped(const std::string& bytes);
// `bytes` of text that looks like an exposition: compressible, but not to nothing.
std::string SampleText(std::size_t bytes);

}  // namespace conntally::http::test

#include <thread>

template <typename Condition>
bool conntally::http::test::Eventually(Condition condition) {
  const auto end = std::chrono::steady_clock::now() + kHang;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(5ms);
  }
  return true;
}
