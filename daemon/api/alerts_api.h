// /api/v1/alerts: every pending, firing or recently resolved alert, with its figures. Pure; any thread.
#pragma once

#include "daemon/alerts/kinds/alert.h"
#include "daemon/http/message.h"

namespace conntally {

http::Response AnswerAlerts(const AlertFigures& figures);

}  // namespace conntally
