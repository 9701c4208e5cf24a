// One request and its response between libmicrohttpd and the rest: its callbacks, and nothing else, live
// here. The server's thread only, as all callbacks run inside MHD_run().
#pragma once

#include <microhttpd.h>

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "daemon/http/connections.h"
#include "daemon/http/gzip.h"
#include "daemon/http/router.h"

namespace conntally::http {

class Exchange {
 public:
  Exchange(Router& router, Connections& connections, Counters& counters, std::size_t header_bytes_max)
      : router_(router),
        connections_(connections),
        counters_(counters),
        header_bytes_max_(header_bytes_max) {}

  // Their first argument is an Exchange; what libmicrohttpd calls them for is said at MHD_start_daemon.
  static void OnConnection(void* exchange, MHD_Connection* connection, void** context,
                           MHD_ConnectionNotificationCode code);
  static void* OnRequestLine(void* exchange, const char* target, MHD_Connection* connection);
  static MHD_Result OnRequest(void* exchange, MHD_Connection* connection, const char* url, const char* method,
                              const char* version, const char* upload, std::size_t* upload_bytes,
                              void** context);
  static void OnFinished(void* exchange, MHD_Connection* connection, void** context,
                         MHD_RequestTerminationCode code);

  // After each MHD_run(): what was asked by now has been answered, and the next answers are to be new.
  void EndRound() { round_.clear(); }

 private:
  // A response whose text, if it has one, is as it goes to the client.
  struct Prepared {
    Response response;  // its body is the stream, or spent
    std::shared_ptr<const HeldText> text;
  };

  Prepared Answer(MHD_Connection* handle, const Connection& connection, std::string_view method,
                  bool has_body);
  Prepared Prepare(Response response, bool gzip_allowed);
  MHD_Result Queue(MHD_Connection* handle, Connection& connection, Prepared prepared);

  Router& router_;
  Connections& connections_;
  Counters& counters_;
  GzipCompressor compressor_;
  const std::size_t header_bytes_max_;
  // What was answered in this round, by target and encoding. Hundreds of clients that ask for the same at
  // once cost one rendering, one compression and one body, so that whoever is last among them waits no
  // longer.
  std::map<std::string, Prepared> round_;
};

}  // namespace conntally::http
