// TLS to an Alertmanager: the trusted CAs, and our own certificate. Any thread.
#pragma once

#include <curl/curl.h>

#include "config/config.h"

namespace conntally {

// The files are read for each connection, so a renewed certificate takes effect.
void SetTls(CURL* handle, const Config::Alertmanager::Tls& tls);

}  // namespace conntally
