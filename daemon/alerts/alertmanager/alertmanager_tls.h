// TLS towards an Alertmanager: whom to trust, and our own certificate. Any thread.
#pragma once

#include <curl/curl.h>

#include "config/config.h"

namespace conntally {

// Files are read anew for each connection, so that a renewed certificate is used.
void SetTls(CURL* handle, const Config::Alertmanager::Tls& tls);

}  // namespace conntally
