#include "daemon/http/access/access.h"

#include <sys/stat.h>

#include <tuple>
#include <utility>
#include <variant>

#include "config/web/web_schema.h"

namespace conntally::http {
namespace {

constexpr unsigned kSlowCost = 14;

}  // namespace

std::vector<ConfigFault> AccessControl::Load(const std::string& path) {
  auto before = std::pair(path_, files_);
  auto faults = Read(path);
  if (!faults.empty() && path != before.first) std::tie(path_, files_) = std::move(before);
  return faults;
}

std::vector<ConfigFault> AccessControl::Read(const std::string& path) {
  path_ = path;
  // Noted before reading: a change meanwhile causes another reading.
  for (FileState& file : files_) file = Look(file.path);
  if (path.empty()) {
    files_.clear();
    *current_.Lock() = std::make_shared<const Access>();
    return {};
  }
  const FileState own = Look(path);
  if (files_.empty() || files_.front().path != path) files_.assign(1, own);
  auto loaded = LoadWebConfigFile(path);
  if (auto* faults = std::get_if<std::vector<ConfigFault>>(&loaded)) return std::move(*faults);
  auto access = std::make_shared<Access>();
  access->config = std::get<WebConfig>(std::move(loaded));
  files_.assign(1, own);
  Watch(access->config);
  if (access->config.tls.on()) {
    auto tls = TlsServer::Make(access->config.tls);
    if (const auto* fault = std::get_if<ConfigFault>(&tls)) return {*fault};
    access->tls = std::get<std::unique_ptr<const TlsServer>>(std::move(tls));
  }
  *current_.Lock() = std::move(access);
  return {};
}

bool AccessControl::HaveFilesChanged() const {
  for (const FileState& file : files_) {
    if (Look(file.path) != file) return true;
  }
  return false;
}

AccessControl::FileState AccessControl::Look(const std::string& path) {
  struct stat status {};
  if (stat(path.c_str(), &status) != 0) return {path};
  return {path, status.st_dev, status.st_ino, status.st_size,
          std::int64_t{status.st_mtim.tv_sec} * 1'000'000'000 + status.st_mtim.tv_nsec};
}

void AccessControl::Watch(const WebConfig& config) {
  for (const auto* file : {&config.tls.certificate_file, &config.tls.key_file, &config.tls.client_ca_file}) {
    if (!file->text.empty()) files_.push_back(Look(file->text));
  }
}

std::vector<std::string> WithoutEffect(const WebConfig& config) {
  std::vector<std::string> said;
  if (config.tls.on() && config.http.http2) said.emplace_back("http2: only HTTP/1.1 is spoken here");
  for (const auto suite : config.tls.cipher_suites) {
    if (suite >> 8 != 0x13) continue;
    said.emplace_back("cipher_suites: those of TLS 1.3 are always all offered");
    break;
  }
  for (const auto& [user, hash] : config.users) {
    const unsigned cost = config::BcryptCost(hash).value_or(0);
    if (cost <= kSlowCost) continue;
    said.emplace_back("basic_auth_users: a hash of cost " + std::to_string(cost) +
                      " takes seconds to compare with, and others wait for that; 10 to 12 are usual");
    break;
  }
  return said;
}

std::vector<ConfigFault> CheckWebConfigFile(const std::string& path) { return AccessControl().Load(path); }

}  // namespace conntally::http
