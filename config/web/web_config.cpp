#include "config/web/web_config.h"

#include <filesystem>

#include "collectors/system/threads/regular_file.h"
#include "config/parse.h"
#include "config/web/web_schema.h"

namespace conntally {
namespace {

void Join(const std::string& folder, WebConfig::Written& file) {
  if (!file.text.empty()) file.text = (std::filesystem::path(folder) / file.text).string();
}

}  // namespace

bool WebConfig::Tls::on() const {
  for (const Written* each : {&certificate, &certificate_file, &key, &key_file, &client_ca, &client_ca_file}) {
    if (!each->text.empty()) return true;
  }
  return client_auth.has_value();
}

WebConfigOrFaults ParseWebConfig(std::string_view yaml, const std::string& folder) {
  auto parsed = config::ParseWith(config::WebConfigSchema(), yaml);
  if (auto* config = std::get_if<WebConfig>(&parsed)) {
    for (WebConfig::Written* file :
         {&config->tls.certificate_file, &config->tls.key_file, &config->tls.client_ca_file}) {
      Join(folder, *file);
    }
  }
  return parsed;
}

WebConfigOrFaults LoadWebConfigFile(const std::string& path) {
  const auto text = ReadRegularFile(path, config::kDocumentBytesMax);
  if (!text) return std::vector<ConfigFault>{{1, 1, "the file cannot be read: " + text.error().message}};
  return ParseWebConfig(*text, std::filesystem::path(path).parent_path().string());
}

}  // namespace conntally
