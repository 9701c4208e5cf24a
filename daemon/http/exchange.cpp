#include "daemon/http/exchange.h"

#include <memory>
#include <utility>

#include "daemon/http/accept_encoding.h"

namespace conntally::http {
namespace {

constexpr std::size_t kGzipFromBytes = 1024;
// What goes to one client before the others have their turn.
constexpr std::size_t kTurnBytes = 64 * 1024;
constexpr std::size_t kRoundAnswersMax = 64;

struct DestroyResponse {
  void operator()(MHD_Response* response) const { MHD_destroy_response(response); }
};
using ResponseHandle = std::unique_ptr<MHD_Response, DestroyResponse>;

// What libmicrohttpd keeps to read a body with. It may outlive the connection it was for, hence the shared
// body.
struct BodyReader {
  std::shared_ptr<ReplyBody> body;
  Connection& connection;  // only while libmicrohttpd reads, which it does for open connections only
  Connections& connections;
  Router& router;
};

ssize_t ReadBody(void* context, std::uint64_t, char* into, std::size_t room) {
  auto& reader = *static_cast<BodyReader*>(context);
  try {
    const auto count = reader.body->Read({into, room});
    if (!count) return MHD_CONTENT_READER_END_WITH_ERROR;
    // It asks for more when what it had has gone to the kernel, so the client is taking it.
    reader.connections.NoteProgress(reader.connection, Clock::now());
    return *count == 0 ? MHD_CONTENT_READER_END_OF_STREAM : static_cast<ssize_t>(*count);
  } catch (...) {
    reader.router.NoteFailure("with a stream");
    return MHD_CONTENT_READER_END_WITH_ERROR;
  }
}

void FreeReader(void* context) { std::unique_ptr<BodyReader>(static_cast<BodyReader*>(context)); }

Connection* ContextOf(MHD_Connection* handle) {
  const auto* info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info == nullptr ? nullptr : static_cast<Connection*>(info->socket_context);
}

const char* HeaderOf(MHD_Connection* handle, const char* name) {
  return MHD_lookup_connection_value(handle, MHD_HEADER_KIND, name);
}

bool HasBody(MHD_Connection* handle) {
  const char* length = HeaderOf(handle, MHD_HTTP_HEADER_CONTENT_LENGTH);
  return HeaderOf(handle, MHD_HTTP_HEADER_TRANSFER_ENCODING) != nullptr ||
         (length != nullptr && std::string_view(length) != "0");
}

ResponseHandle MakeHandle(std::unique_ptr<BodyReader> reader) {
  const auto size = reader->body->size();
  if (size == 0U) return ResponseHandle(MHD_create_response_from_buffer(0, nullptr, MHD_RESPMEM_PERSISTENT));
  ResponseHandle handle(MHD_create_response_from_callback(size.value_or(MHD_SIZE_UNKNOWN), kTurnBytes,
                                                          &ReadBody, reader.get(), &FreeReader));
  if (handle) static_cast<void>(reader.release());  // FreeReader has it now
  return handle;
}

}  // namespace

void Exchange::OnConnection(void* exchange, MHD_Connection* handle, void** context,
                            MHD_ConnectionNotificationCode code) {
  auto& self = *static_cast<Exchange*>(exchange);
  if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
    if (*context != nullptr) self.connections_.Remove(*static_cast<Connection*>(*context));
    *context = nullptr;
    return;
  }
  const auto* info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD);
  if (info != nullptr) *context = &self.connections_.Add(info->connect_fd, Clock::now());
}

void* Exchange::OnRequestLine(void*, const char* target, MHD_Connection* handle) {
  if (Connection* connection = ContextOf(handle)) connection->target = target;
  return nullptr;
}

MHD_Result Exchange::OnRequest(void* exchange, MHD_Connection* handle, const char*, const char* method,
                               const char*, const char*, std::size_t* upload_bytes, void**) {
  auto& self = *static_cast<Exchange*>(exchange);
  Connection* connection = ContextOf(handle);
  if (connection == nullptr) return MHD_NO;
  const bool has_body = HasBody(handle);
  if (!std::exchange(connection->request_seen, true)) {
    Count(self.counters_.requests);
    self.connections_.StartAnswer(*connection, Clock::now());
    // Answered at the first call, libmicrohttpd takes it for a refusal to read on and closes the connection
    // afterwards. That is meant for a request with a body only; it calls us again for the others.
    if (!has_body) return MHD_YES;
  }
  *upload_bytes = 0;
  return self.Queue(handle, *connection, self.Answer(handle, *connection, method, has_body));
}

void Exchange::OnFinished(void* exchange, MHD_Connection* handle, void**, MHD_RequestTerminationCode) {
  auto& self = *static_cast<Exchange*>(exchange);
  if (Connection* connection = ContextOf(handle)) self.connections_.FinishAnswer(*connection, Clock::now());
}

Exchange::Prepared Exchange::Answer(MHD_Connection* handle, const Connection& connection,
                                    std::string_view method, bool has_body) {
  const auto* info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  if (info != nullptr && info->header_size > header_bytes_max_) {
    return Prepare(ErrorResponse(MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, "the request header is too long"),
                   false);
  }
  const char* accepted = HeaderOf(handle, MHD_HTTP_HEADER_ACCEPT_ENCODING);
  const bool gzip_allowed = accepted != nullptr && AllowsGzip(accepted);
  if ((method != MHD_HTTP_METHOD_GET && method != MHD_HTTP_METHOD_HEAD) || has_body) {
    return Prepare(router_.Answer(method, connection.target, has_body), gzip_allowed);
  }
  const std::string key = (gzip_allowed ? "gzip " : "plain ") + connection.target;
  if (const auto same = round_.find(key); same != round_.end()) return same->second;
  Prepared prepared = Prepare(router_.Answer(method, connection.target, has_body), gzip_allowed);
  // A stream is one client's own.
  if (prepared.text && round_.size() < kRoundAnswersMax) round_.emplace(key, prepared);
  return prepared;
}

Exchange::Prepared Exchange::Prepare(Response response, bool gzip_allowed) {
  Prepared prepared{std::move(response), nullptr};
  auto* text = std::get_if<std::string>(&prepared.response.body);
  if (text == nullptr) return prepared;
  if (text->size() >= kGzipFromBytes) {
    prepared.response.headers.emplace(MHD_HTTP_HEADER_VARY, "Accept-Encoding");
    if (auto compressed = gzip_allowed ? compressor_.Compress(*text) : std::nullopt) {
      prepared.response.headers.emplace(MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
      *text = std::move(*compressed);
    }
  }
  prepared.text = std::make_shared<const HeldText>(std::exchange(*text, {}), connections_.held_bytes());
  return prepared;
}

MHD_Result Exchange::Queue(MHD_Connection* handle, Connection& connection, Prepared prepared) {
  if (!connections_.MakeRoomForBody(Clock::now())) {
    Count(counters_.responses_turned_away);
    round_.clear();
    prepared = Prepare(ErrorResponse(503, "too many responses wait for their clients"), false);
  }
  Response& response = prepared.response;
  connection.body = prepared.text
                        ? std::make_shared<ReplyBody>(std::move(prepared.text))
                        : std::make_shared<ReplyBody>(std::move(std::get<BodyStream>(response.body)),
                                                      connections_.held_bytes());
  const ResponseHandle reply = MakeHandle(
      std::make_unique<BodyReader>(BodyReader{connection.body, connection, connections_, router_}));
  if (!reply) return MHD_NO;
  const auto add = [&reply](const char* name, const char* value) {
    MHD_add_response_header(reply.get(), name, value);
  };
  add(MHD_HTTP_HEADER_CONTENT_TYPE, response.content_type.c_str());
  add("X-Content-Type-Options", "nosniff");
  for (const auto& [name, value] : response.headers) add(name.c_str(), value.c_str());
  return MHD_queue_response(handle, static_cast<unsigned>(response.status), reply.get());
}

}  // namespace conntally::http
