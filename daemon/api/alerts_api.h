// /api/v1/alerts: every alert that is pending, fires, or has lately been resolved, with its evidence. Pure; any thread.
#pragma once

#include "daemon/alerts/kinds/alert.h"
#include "daemon/http/message.h"

namespace conntally {

http::Response AnswerAlerts(const AlertFigures& figures);

}  // namespace conntally
