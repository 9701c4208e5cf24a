#include "test/unit/daemon/http/server/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <zlib.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace conntally::http::test {

Client::Client(std::uint16_t port, int receive_buffer_bytes) : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  if (receive_buffer_bytes != 0) {
    setsockopt(socket_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof(receive_buffer_bytes));
  }
  sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_port = htons(port);
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  connected_ = connect(socket_.get(), reinterpret_cast<const sockaddr*>(&server), sizeof(server)) == 0;
}

bool Client::Send(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

std::optional<std::string> Client::Receive(std::size_t bytes_max, std::chrono::milliseconds wait) {
  pollfd waits{socket_.get(), POLLIN, 0};
  if (poll(&waits, 1, static_cast<int>(wait.count())) <= 0) return std::nullopt;
  std::string buffer(bytes_max, '\0');
  const ssize_t received = recv(socket_.get(), buffer.data(), buffer.size(), 0);
  buffer.resize(received > 0 ? static_cast<std::size_t>(received) : 0);
  return buffer;
}

bool Client::Fill() {
  const auto more = Receive(256 * 1024);
  if (!more || more->empty()) return false;
  read_ += *more;
  return true;
}

std::optional<std::string> Client::TakeLine() {
  std::size_t end;
  while ((end = read_.find("\r\n")) == read_.npos) {
    if (!Fill()) return std::nullopt;
  }
  std::string line = read_.substr(0, end);
  read_.erase(0, end + 2);
  return line;
}

bool Client::TakeBytes(std::size_t count, std::string& into) {
  while (read_.size() < count) {
    if (!Fill()) return false;
  }
  into.append(read_, 0, count);
  read_.erase(0, count);
  return true;
}

bool Client::TakeChunks(std::string& into) {
  for (;;) {
    const auto line = TakeLine();
    if (!line) return false;
    const std::size_t size = std::strtoul(line->c_str(), nullptr, 16);
    if (size == 0) return TakeLine().has_value();
    if (!TakeBytes(size, into) || TakeLine() != "") return false;
  }
}

std::optional<Reply> Client::ReadReply(bool head) {
  Reply reply;
  auto line = TakeLine();
  if (!line || line->size() < 12) return std::nullopt;
  reply.status = std::atoi(line->c_str() + 9);
  while ((line = TakeLine()) && !line->empty()) {
    std::string name = line->substr(0, line->find(':'));
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
    reply.headers[name] = line->substr(std::min(line->size(), name.size() + 2));
  }
  if (!line) return std::nullopt;
  if (head) return reply;
  if (const auto length = reply.headers.find("content-length"); length != reply.headers.end()) {
    if (!TakeBytes(std::stoul(length->second), reply.body)) return std::nullopt;
  } else if (reply.headers["transfer-encoding"] == "chunked") {
    if (!TakeChunks(reply.body)) return std::nullopt;
  } else {
    while (Fill()) {
    }
    reply.body = std::move(read_);
  }
  return reply;
}

std::optional<Reply> Client::Get(const std::string& target, const std::string& more_headers) {
  if (!Send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + more_headers + "\r\n")) return std::nullopt;
  return ReadReply();
}

bool Client::WaitClosed(std::chrono::milliseconds wait) {
  const auto end = std::chrono::steady_clock::now() + wait;
  while (std::chrono::steady_clock::now() < end) {
    const auto received = Receive(64 * 1024, 20ms);
    if (received && received->empty()) return true;
  }
  return false;
}

std::optional<Reply> Fetch(std::uint16_t port, const std::string& target, const std::string& more_headers) {
  return Client(port).Get(target, more_headers);
}

std::optional<Reply> Ask(std::uint16_t port, const std::string& whole_request, bool head) {
  Client client(port);
  if (!client.Send(whole_request)) return std::nullopt;
  return client.ReadReply(head);
}

std::string Gunzipped(const std::string& bytes) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 16) != Z_OK) throw std::runtime_error("inflateInit2");
  std::string text;
  std::string piece(64 * 1024, '\0');
  std::string input = bytes;
  stream.next_in = reinterpret_cast<Bytef*>(input.data());
  stream.avail_in = static_cast<uInt>(input.size());
  int code = Z_OK;
  while (code == Z_OK) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    code = inflate(&stream, Z_NO_FLUSH);
    text.append(piece, 0, piece.size() - stream.avail_out);
  }
  inflateEnd(&stream);
  return code == Z_STREAM_END ? text : "not gzip";
}

std::string SampleText(std::size_t bytes) {
  std::string text;
  for (unsigned i = 0; text.size() < bytes; ++i) {
    text += "conntally_source_connections{source=\"10." + std::to_string(i / 65536 % 256) + "." +
            std::to_string(i / 256 % 256) + "." + std::to_string(i % 256) + "\"} " +
            std::to_string(i * 2654435761U % 5000) + "\n";
  }
  text.resize(bytes);
  return text;
}

}  // namespace conntally::http::test
