// libmicrohttpd's callbacks: one request and its response between libmicrohttpd and the rest. The server's thread only,
// since all callbacks run inside MHD_run().
//
// A request whose answer must first be rendered is suspended: libmicrohttpd ignores its connection until Resume
// provides the rendering, and then calls OnRequest again.
#pragma once

#include <microhttpd.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/http/access/access.h"
#include "daemon/http/rendering.h"
#include "daemon/http/router.h"
#include "daemon/http/server/connections.h"
#include "daemon/http/server/gate.h"
#include "daemon/http/server/shared_answers.h"

namespace conntally::http {

class Exchange {
 public:
  struct Options {
    std::size_t header_bytes_max = 0;
    std::vector<std::string> allowed_hosts;
  };
  // Only the server's thread uses `encoder`.
  Exchange(const AccessControl& access, Gate& gate, Router& router, Connections& connections, SharedAnswers& answers,
           Encoder& encoder, Counters& counters, Options options)
      : access_(access),
        gate_(gate),
        router_(router),
        connections_(connections),
        answers_(answers),
        encoder_(encoder),
        counters_(counters),
        options_(std::move(options)) {}

  // Their first argument is an Exchange; for their meaning see MHD_start_daemon.
  static void OnConnection(void* exchange, MHD_Connection* connection, void** context,
                           MHD_ConnectionNotificationCode code);
  static void* OnRequestLine(void* exchange, const char* target, MHD_Connection* connection);
  static MHD_Result OnRequest(void* exchange, MHD_Connection* connection, const char* url, const char* method,
                              const char* version, const char* upload, std::size_t* upload_bytes, void** context);
  static void OnFinished(void* exchange, MHD_Connection* connection, void** context, MHD_RequestTerminationCode code);

  // Resumes the connections whose password was checked or whose answer was rendered.
  void Resume();
  // Resumes all, so that libmicrohttpd can be stopped.
  void GiveUp();

 private:
  enum class AfterIt { kKeepOpen, kClose };

  void PrepareTls(Connection& connection, gnutls_session_t session);
  // For answers without a lane: refusals, and those of kAtOnce.
  std::shared_ptr<const Rendering> RenderHere(Response response);
  std::shared_ptr<const Rendering> RefuseForRoom();
  // The answer; null: the connection waits for it.
  std::shared_ptr<const Rendering> Answer(MHD_Connection* handle, Connection& connection, std::string_view method,
                                          bool has_body);
  std::shared_ptr<const Rendering> Ask(Connection& connection, Router::Found found);
  bool HasRoom(const Connection& connection, Clock::time_point now);
  MHD_Result Queue(MHD_Connection* handle, Connection& connection, const Rendering& rendering, AfterIt after_it);

  const AccessControl& access_;
  Gate& gate_;
  Router& router_;
  Connections& connections_;
  SharedAnswers& answers_;
  Encoder& encoder_;
  Counters& counters_;
  const Options options_;
  std::shared_ptr<const Access> last_with_tls_;
};

}  // namespace conntally::http
