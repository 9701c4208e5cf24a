#include "daemon/command_line/client/client_config.h"

#include <filesystem>

#include "collectors/system/threads/regular_file.h"
#include "config/parse.h"
#include "config/values.h"

namespace conntally {
namespace {

constexpr std::size_t kTextBytesMax = 4096;

const config::Schema<ClientConfig>& ClientSchema() {
  using BasicAuth = ClientConfig::BasicAuth;
  using Tls = ClientConfig::Tls;
  using config::Key;
  const auto text = config::LineOfText(kTextBytesMax);
  const auto two_passwords = [](const BasicAuth& basic) -> std::optional<std::string> {
    if (basic.password.empty() || basic.password_file.empty()) return std::nullopt;
    return "given beside the other one; allowed: password or password_file";
  };
  const auto half_pair = [](const Tls& tls) -> std::optional<std::string> {
    if (tls.cert_file.empty() == tls.key_file.empty()) return std::nullopt;
    return "one without the other; allowed: cert_file and key_file, or neither";
  };
  static const config::Schema<ClientConfig> schema = config::Map<ClientConfig>(
      {Key("basic_auth", &ClientConfig::basic_auth,
           config::Map<BasicAuth>(
               {Key("username", &BasicAuth::username, text), Key("password", &BasicAuth::password, text),
                Key("password_file", &BasicAuth::password_file, text)},
               config::Check<BasicAuth>{{"password", "password_file"}, two_passwords})),
       Key("tls_config", &ClientConfig::tls,
           config::Map<Tls>({Key("ca_file", &Tls::ca_file, text), Key("cert_file", &Tls::cert_file, text),
                             Key("key_file", &Tls::key_file, text), Key("server_name", &Tls::server_name, text),
                             Key("insecure_skip_verify", &Tls::insecure_skip_verify, config::Boolean())},
                            config::Check<Tls>{{"cert_file", "key_file"}, half_pair}))});
  return schema;
}

}  // namespace

std::variant<ClientConfig, std::vector<ConfigFault>> LoadClientConfigFile(const std::string& path) {
  const auto text = ReadRegularFile(path, config::kDocumentBytesMax);
  if (!text) return std::vector<ConfigFault>{{1, 1, "the file cannot be read: " + text.error().message}};
  auto parsed = config::ParseWith(ClientSchema(), *text);
  auto* client = std::get_if<ClientConfig>(&parsed);
  if (client == nullptr) return parsed;
  for (std::string* file :
       {&client->basic_auth.password_file, &client->tls.ca_file, &client->tls.cert_file, &client->tls.key_file}) {
    if (!file->empty()) *file = std::filesystem::path(path).replace_filename(*file).string();
  }
  return parsed;
}

}  // namespace conntally
