#include "daemon/http/server/exchange.h"

#include <gnutls/gnutls.h>
#include <sys/socket.h>

#include <array>
#include <memory>
#include <utility>

#include "daemon/http/encoding/accept_encoding.h"
#include "daemon/http/server/request_head.h"
#include "daemon/http/server/sockets/addresses.h"

namespace conntally::http {
namespace {

// How much one client gets before the others have their turn. Each client being answered has such a buffer.
constexpr std::size_t kTurnBytes = 16 * 1024;

// Forbid other sites to use our answers in a frame, as a resource or from a cache, unless the handler says otherwise.
constexpr std::array<std::pair<const char*, const char*>, 5> kOwnHeaders = {{
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cache-Control", "no-store"},
    {"Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"},
}};

struct DestroyResponse {
  void operator()(MHD_Response* response) const { MHD_destroy_response(response); }
};
using ResponseHandle = std::unique_ptr<MHD_Response, DestroyResponse>;

// libmicrohttpd's handle for reading a body. It may outlive its connection, so the body is shared.
struct BodyReader {
  std::shared_ptr<ReplyBody> body;
  Connection& connection;  // used only while libmicrohttpd reads, that is, while the connection is open
  Connections& connections;
};

ssize_t ReadBody(void* context, std::uint64_t, char* into, std::size_t room) {
  auto& reader = *static_cast<BodyReader*>(context);
  const auto count = reader.body->Read({into, room});
  if (!count) return MHD_CONTENT_READER_END_WITH_ERROR;
  // It requests more once the last bytes are in the kernel, so the client is reading.
  reader.connections.NoteProgress(reader.connection, Clock::now());
  return *count == 0 ? MHD_CONTENT_READER_END_OF_STREAM : static_cast<ssize_t>(*count);
}

void FreeReader(void* context) { std::unique_ptr<BodyReader>(static_cast<BodyReader*>(context)); }

Connection* ContextOf(MHD_Connection* handle) {
  const auto* info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
  return info == nullptr ? nullptr : static_cast<Connection*>(info->socket_context);
}

const char* HeaderOf(MHD_Connection* handle, const char* name) {
  return MHD_lookup_connection_value(handle, MHD_HEADER_KIND, name);
}

MHD_Result AddField(void* head, MHD_ValueKind, const char* name, std::size_t name_bytes, const char* value,
                    std::size_t value_bytes) {
  static_cast<RequestHead*>(head)->fields.emplace_back(std::string_view(name, name_bytes),
                                                       std::string_view(value == nullptr ? "" : value, value_bytes));
  return MHD_YES;
}

bool HasBody(MHD_Connection* handle) {
  const char* length = HeaderOf(handle, MHD_HTTP_HEADER_CONTENT_LENGTH);
  return HeaderOf(handle, MHD_HTTP_HEADER_TRANSFER_ENCODING) != nullptr ||
         (length != nullptr && std::string_view(length) != "0");
}

bool TakesGzip(MHD_Connection* handle) {
  const char* accepted = HeaderOf(handle, MHD_HTTP_HEADER_ACCEPT_ENCODING);
  return accepted != nullptr && AllowsGzip(std::string_view(accepted));
}

ResponseHandle MakeHandle(std::unique_ptr<BodyReader> reader) {
  const std::uint64_t size = reader->body->size();
  if (size == 0) return ResponseHandle(MHD_create_response_from_buffer(0, nullptr, MHD_RESPMEM_PERSISTENT));
  ResponseHandle handle(MHD_create_response_from_callback(size, kTurnBytes, &ReadBody, reader.get(), &FreeReader));
  if (handle) static_cast<void>(reader.release());  // FreeReader owns it now
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
  if (info == nullptr) return;
  Connection& connection = self.connections_.Add(info->connect_fd, Clock::now());
  connection.handle = handle;
  connection.by_loopback = IsByLoopback(info->connect_fd);
  connection.client = ClientOf(info->connect_fd);
  connection.access = self.access_.current();
  *context = &connection;
  const auto* tls = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  if (tls != nullptr) self.PrepareTls(connection, static_cast<gnutls_session_t>(tls->tls_session));
}

// If the configuration has just disabled TLS, connections accepted before keep it.
void Exchange::PrepareTls(Connection& connection, gnutls_session_t session) {
  if (connection.access->tls) {
    last_with_tls_ = connection.access;
  } else {
    connection.access = last_with_tls_;
  }
  if (connection.access && connection.access->tls) {
    connection.access->tls->Prepare(session);
  } else {
    shutdown(connection.descriptor, SHUT_RDWR);
  }
}

void* Exchange::OnRequestLine(void*, const char* target, MHD_Connection* handle) {
  if (Connection* connection = ContextOf(handle)) connection->target = target;
  return nullptr;
}

MHD_Result Exchange::OnRequest(void* exchange, MHD_Connection* handle, const char*, const char* method,
                               const char* version, const char*, std::size_t* upload_bytes, void**) {
  auto& self = *static_cast<Exchange*>(exchange);
  Connection* connection = ContextOf(handle);
  if (connection == nullptr) return MHD_NO;
  const bool has_body = HasBody(handle);
  if (!std::exchange(connection->request_seen, true)) {
    Count(self.counters_.requests);
    self.connections_.StartWait(*connection, Clock::now());
    // With TLS or a password, DNS rebinding does not work.
    const bool is_protected = self.access_.current()->config.protects();
    RequestHead head{version, connection->target, {}, connection->by_loopback && !is_protected};
    MHD_get_connection_values_n(handle, MHD_HEADER_KIND, &AddField, &head);
    if (auto fault = FindFault(head, self.options_.allowed_hosts)) {
      *upload_bytes = 0;
      return self.Queue(handle, *connection, *self.RenderHere(std::move(*fault)), AfterIt::kClose);
    }
    // If we answer at the first call, libmicrohttpd closes the connection afterwards. We want that only for a request
    // with a body; for others it calls us again.
    if (!has_body) return MHD_YES;
  }
  *upload_bytes = 0;
  if (!connection->rendering) connection->rendering = self.Answer(handle, *connection, method, has_body);
  if (!connection->rendering) {
    MHD_suspend_connection(handle);
    return MHD_YES;
  }
  // Kept here, since a refusal may replace it.
  auto rendering = std::exchange(connection->rendering, nullptr);
  if (!self.HasRoom(*connection, Clock::now())) rendering = self.RefuseForRoom();
  return self.Queue(handle, *connection, *rendering, AfterIt::kKeepOpen);
}

void Exchange::OnFinished(void* exchange, MHD_Connection* handle, void**, MHD_RequestTerminationCode) {
  auto& self = *static_cast<Exchange*>(exchange);
  if (Connection* connection = ContextOf(handle)) self.connections_.FinishAnswer(*connection, Clock::now());
}

void Exchange::Resume() {
  for (Connection* connection : gate_.TakeDecided()) MHD_resume_connection(connection->handle);
  for (Connection* connection : answers_.Deliver()) {
    if (!connection->rendering) connection->rendering = RefuseForRoom();
    MHD_resume_connection(connection->handle);
  }
}

void Exchange::GiveUp() {
  for (const Connection* connection : gate_.GiveUp()) MHD_resume_connection(connection->handle);
  for (const Connection* connection : answers_.GiveUp()) MHD_resume_connection(connection->handle);
}

std::shared_ptr<const Rendering> Exchange::RenderHere(Response response) {
  return encoder_.Encode(std::move(response), Clock::now(), [] { return false; });
}

std::shared_ptr<const Rendering> Exchange::RefuseForRoom() {
  Count(counters_.responses_turned_away);
  Response refusal = ErrorResponse(503, "too many answers are being waited for or read; ask again");
  refusal.headers.emplace("Retry-After", "1");
  return RenderHere(std::move(refusal));
}

// The metrics always have room, since all clients share them; so do answers rendered here.
bool Exchange::HasRoom(const Connection& connection, Clock::time_point now) {
  if (!connections_.short_of_memory()) return true;
  answers_.ForgetAll();
  return connections_.MakeRoomForBody(now) || !connection.lane || connection.lane == Lane::kScrape;
}

std::shared_ptr<const Rendering> Exchange::Answer(MHD_Connection* handle, Connection& connection,
                                                  std::string_view method, bool has_body) {
  const auto* info = MHD_get_connection_info(handle, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  if (info != nullptr && info->header_size > options_.header_bytes_max) {
    return RenderHere(ErrorResponse(MHD_HTTP_REQUEST_HEADER_FIELDS_TOO_LARGE, "the request header is too long"));
  }
  gate_.Ask(*access_.current(), connection, HeaderOf(handle, MHD_HTTP_HEADER_AUTHORIZATION),
            has_body ? Gate::MayWait::kNo : Gate::MayWait::kYes, Clock::now());
  if (connection.pass == Pass::kAsked) return nullptr;
  if (auto refusal = gate_.Refusal(connection)) return RenderHere(*std::move(refusal));
  auto found = router_.Find(method, connection.target, has_body);
  if (auto* refusal = std::get_if<Response>(&found)) return RenderHere(std::move(*refusal));
  return Ask(connection, std::move(std::get<Router::Found>(found)));
}

std::shared_ptr<const Rendering> Exchange::Ask(Connection& connection, Router::Found found) {
  const auto now = Clock::now();
  const Lane lane = found.route->lane_of(found.request);
  if (lane == Lane::kAtOnce) return RenderHere(router_.Call(found.route->answer, found.request));
  if (!connections_.Admit(connection, lane, now)) return RefuseForRoom();
  if (lane == Lane::kScrape) found.request.query.clear();
  std::string key = lane == Lane::kScrape ? found.request.path : connection.target;
  if (auto recent = answers_.Recent(key, connections_.admitted(lane), now)) return recent;
  if (!HasRoom(connection, now)) return RefuseForRoom();
  auto question = std::make_unique<Question>(
      Question{std::move(key), lane, &found.route->answer, std::move(found.request), nullptr});
  return answers_.Wait(connection, std::move(question)) ? nullptr : RefuseForRoom();
}

MHD_Result Exchange::Queue(MHD_Connection* handle, Connection& connection, const Rendering& rendering,
                           AfterIt after_it) {
  const bool gzip_allowed = TakesGzip(handle);
  connections_.StartAnswer(connection, Clock::now());
  connection.body = rendering.Body(gzip_allowed);
  const ResponseHandle reply =
      MakeHandle(std::make_unique<BodyReader>(BodyReader{connection.body, connection, connections_}));
  if (!reply) return MHD_NO;
  const auto add = [&reply](const char* name, const char* value) { MHD_add_response_header(reply.get(), name, value); };
  add(MHD_HTTP_HEADER_CONTENT_TYPE, rendering.content_type.c_str());
  // The administrator's headers override ours.
  const auto access = access_.current();
  const auto& wanted = access->config.http.headers;
  for (const auto& [name, value] : kOwnHeaders) {
    if (!rendering.headers.contains(name) && !wanted.contains(name)) add(name, value);
  }
  for (const auto& [name, value] : rendering.headers) {
    if (!wanted.contains(name)) add(name.c_str(), value.c_str());
  }
  for (const auto& [name, value] : wanted) {
    if (!value.empty()) add(name.c_str(), value.c_str());
  }
  if (rendering.packed) {
    add(MHD_HTTP_HEADER_VARY, "Accept-Encoding");
    if (gzip_allowed) add(MHD_HTTP_HEADER_CONTENT_ENCODING, "gzip");
  }
  // When room is short, no client keeps its connection for another request, or for hundreds of pipelined ones.
  if (after_it == AfterIt::kClose || connections_.crowded()) add(MHD_HTTP_HEADER_CONNECTION, "close");
  return MHD_queue_response(handle, static_cast<unsigned>(rendering.status), reply.get());
}

}  // namespace conntally::http
