#include "daemon/http/server/protocols.h"

#include <gnutls/abstract.h>
#include <spdlog/spdlog.h>

#include <algorithm>

namespace conntally::http {
namespace {

// libmicrohttpd needs some certificate to start with TLS; each session sets its own (Exchange::OnConnection).
int NoCertificate(gnutls_session_t, const gnutls_datum_t*, int, const gnutls_pk_algorithm_t*, int, gnutls_pcert_st**,
                  unsigned*, gnutls_privkey_t*) {
  return -1;
}

}  // namespace

Status Protocols::Start(Kind kind) {
  Protocol& protocol = protocols_[kind];
  if (protocol.daemon) return Ok();
  unsigned flags = MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME;
  if (kind == kTls) flags |= MHD_USE_TLS;
  // A list with room for one more option.
  std::vector<MHD_OptionItem> of_tls;
  if (kind == kTls) of_tls.push_back({MHD_OPTION_HTTPS_CERT_CALLBACK, 0, reinterpret_cast<void*>(&NoCertificate)});
  of_tls.push_back({MHD_OPTION_END, 0, nullptr});
  protocol.daemon.reset(MHD_start_daemon(
      flags, 0, nullptr, nullptr,                                         //
      &Exchange::OnRequest, &exchange_,                                   // whole headers
      MHD_OPTION_NOTIFY_CONNECTION, &Exchange::OnConnection, &exchange_,  // accepted and closed
      MHD_OPTION_URI_LOG_CALLBACK, &Exchange::OnRequestLine, &exchange_,  // the raw target
      MHD_OPTION_NOTIFY_COMPLETED, &Exchange::OnFinished, &exchange_,     // response taken
      // We enforce the limit. libmicrohttpd's own count lags: it includes closed connections until its round ends.
      MHD_OPTION_CONNECTION_LIMIT, 2 * connections_max_,  //
      MHD_OPTION_CONNECTION_MEMORY_LIMIT, pool_bytes_,    //
      MHD_OPTION_ARRAY, of_tls.data(), MHD_OPTION_END));
  const auto* info = protocol.daemon ? MHD_get_daemon_info(protocol.daemon.get(), MHD_DAEMON_INFO_EPOLL_FD) : nullptr;
  if (info == nullptr) return Error::FromErrno("cannot start the HTTP server: libmicrohttpd", errno);
  protocol.epoll_descriptor = info->epoll_fd;
  return Ok();
}

MHD_Daemon* Protocols::For(const Access& access) {
  const Kind kind = KindFor(access);
  if (const Status started = Start(kind); !started) spdlog::error("{}", started.error().message);
  return protocols_[kind].daemon.get();
}

void Protocols::AddWaits(std::vector<pollfd>& waits) const {
  for (const Protocol& each : protocols_) waits.push_back({each.epoll_descriptor, POLLIN, 0});  // poll skips -1
}

std::chrono::milliseconds Protocols::Wait(std::chrono::milliseconds longest) const {
  auto wait = static_cast<unsigned long long>(longest.count());
  for (const Protocol& each : protocols_) {
    unsigned long long wanted = 0;
    if (each.daemon && MHD_get_timeout(each.daemon.get(), &wanted) == MHD_YES) wait = std::min(wait, wanted);
  }
  return std::chrono::milliseconds(wait);
}

void Protocols::Run() {
  for (const Protocol& each : protocols_) {
    if (each.daemon) MHD_run(each.daemon.get());
  }
}

void Protocols::Stop() {
  for (Protocol& each : protocols_) each.daemon.reset();
}

}  // namespace conntally::http
