#include "collectors/rules/iptables/legacy_reader.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <functional>
#include <string_view>

#include "collectors/rules/iptables/ipset_reader.h"
#include "collectors/rules/ruleset_finish.h"
#include "collectors/rules/text/described_rule.h"
#include "collectors/rules/text/rule_texts.h"

namespace conntally {
namespace {

// IPT_SO_GET_INFO and IPT_SO_GET_ENTRIES, the same numbers for IPv6.
constexpr int kGetInfo = 64;
constexpr int kGetEntries = 65;

// struct ipt_get_entries without its entries.
struct EntriesHeader {
  char name[32];
  std::uint32_t size_bytes;
};
constexpr std::size_t kEntriesOffset = 40;  // the entries are aligned to 8

void Zero(std::vector<std::byte>& bytes, const std::vector<std::size_t>& counters) {
  constexpr std::size_t kCounterBytes = 16;
  for (const std::size_t offset : counters)
    std::fill_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), kCounterBytes, std::byte{0});
}

}  // namespace

bool MayHaveLegacyTables(std::istream& modules, RuleFamily family) {
  const std::string_view core = family == RuleFamily::kIp ? "ip_tables " : "ip6_tables ";
  const std::string_view table = family == RuleFamily::kIp ? "iptable_" : "ip6table_";
  bool core_is_module = false;
  for (std::string line; std::getline(modules, line);) {
    if (line.starts_with(table)) return true;
    core_is_module = core_is_module || line.starts_with(core);
  }
  return !core_is_module;
}

LegacyReader::LegacyReader(RuleBackend backend)
    : backend_(backend), family_(backend == RuleBackend::kIptablesLegacy ? RuleFamily::kIp : RuleFamily::kIp6) {}

// /proc/net is /proc/self/net: that of the process's first thread, which may be in another namespace.
Result<std::vector<std::string>> LegacyReader::TableNames() const {
  const std::string path =
      family_ == RuleFamily::kIp ? "/proc/thread-self/net/ip_tables_names" : "/proc/thread-self/net/ip6_tables_names";
  errno = 0;
  std::ifstream file(path);
  if (!file) {
    const int code = errno;
    if (code != EACCES) return Error::FromErrno("cannot read " + path, code);
    std::ifstream modules("/proc/modules");
    if (!MayHaveLegacyTables(modules, family_)) return std::vector<std::string>();
    return Error{"reading legacy tables needs CAP_DAC_READ_SEARCH besides CAP_NET_ADMIN: only root may read " + path,
                 EACCES};
  }
  std::vector<std::string> names;
  for (std::string name; std::getline(file, name);) {
    if (!name.empty()) names.push_back(name);
  }
  return names;
}

Result<LegacyReader::Blob> LegacyReader::ReadTable(const std::string& name) {
  const int level = family_ == RuleFamily::kIp ? IPPROTO_IP : IPPROTO_IPV6;
  constexpr int kAttemptsMax = 8;
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    Blob blob;
    if (name.size() >= sizeof blob.info.name) return Error{"table '" + name + "' has too long a name"};
    std::memcpy(blob.info.name, name.c_str(), name.size() + 1);
    socklen_t length = sizeof blob.info;
    if (getsockopt(socket_.get(), level, kGetInfo, &blob.info, &length) < 0) {
      return Error::FromErrno("cannot read the legacy table " + name, errno);
    }
    if (blob.info.size_bytes > kTableBytesMax) return Error{"the legacy table " + name + " is too large", EFBIG};
    std::vector<std::byte> answer(kEntriesOffset + blob.info.size_bytes);
    EntriesHeader header{};
    std::memcpy(header.name, name.c_str(), name.size() + 1);
    header.size_bytes = blob.info.size_bytes;
    std::memcpy(answer.data(), &header, sizeof header);
    length = static_cast<socklen_t>(answer.size());
    if (getsockopt(socket_.get(), level, kGetEntries, answer.data(), &length) == 0) {
      answer.erase(answer.begin(), answer.begin() + static_cast<std::ptrdiff_t>(kEntriesOffset));
      blob.entries = std::move(answer);
      return blob;
    }
    if (errno != EAGAIN) return Error::FromErrno("cannot read the entries of the legacy table " + name, errno);
  }
  return Error{"the legacy table " + name + " changed again and again while it was read", EAGAIN};
}

BackendReading LegacyReader::Read() {
  const auto began = std::chrono::steady_clock::now();
  constexpr int kAttemptsMax = 8;
  Result<BackendReading> read = Error{};
  for (int attempt = 0; attempt < kAttemptsMax; ++attempt) {
    read = TryRead();
    if (read || read.error().code != EINTR) break;
  }
  BackendReading snapshot;
  if (read) {
    snapshot = std::move(*read);
  } else {
    const int code = read.error().code;
    snapshot.lacks_capability = code == EACCES || code == EPERM;
    snapshot.present = code != ENOENT && !snapshot.lacks_capability;
    snapshot.failure = read.error().message;
    if (code == EPERM) snapshot.failure += ": it needs CAP_NET_ADMIN";
    if (code == ENOENT) snapshot.failure = std::string("there is no ") + NameOf(backend_) + " in this kernel";
    snapshot.ruleset = std::make_shared<Ruleset>();
  }
  snapshot.sets = std::make_shared<std::vector<AddressSet>>();
  snapshot.duration_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  return snapshot;
}

Result<BackendReading> LegacyReader::TryRead() {
  const auto names = TableNames();
  if (!names) return names.error();
  if (socket_.get() < 0 && !names->empty()) {
    socket_ = FileDescriptor(socket(family_ == RuleFamily::kIp ? AF_INET : AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (socket_.get() < 0) return Error::FromErrno("cannot open a socket to read legacy tables with", errno);
  }
  std::map<std::string, Blob> blobs;
  for (const std::string& name : *names) {
    auto blob = ReadTable(name);
    if (!blob) return blob.error();
    blobs[name] = std::move(*blob);
  }
  bool same = ruleset_ != nullptr && blobs.size() == known_.size();
  std::vector<std::optional<RuleCounter>> counters, policies;
  for (auto& [name, blob] : blobs) {
    const auto known = known_.find(name);
    same = same && known != known_.end() && known->second.blob.entries.size() == blob.entries.size();
    if (!same) break;
    for (const std::size_t offset : known->second.rule_counters)
      counters.emplace_back(LoadLegacyCounter(blob.entries, offset));
    for (const auto& offset : known->second.policy_counters) {
      policies.push_back(offset ? std::optional(LoadLegacyCounter(blob.entries, *offset)) : std::nullopt);
    }
    Zero(blob.entries, known->second.all_counters);
    same = blob.entries == known->second.blob.entries && blob.info.hook_entry == known->second.blob.info.hook_entry;
    if (!same) break;
  }
  if (!same) {
    if (const auto built = Rebuild(std::move(blobs)); !built) return built.error();
    // The texts were read after the blobs: they belong together only if the blobs are still the same.
    return Error{"the legacy tables changed again and again while they were read", EINTR};
  }
  BackendReading snapshot;
  snapshot.present = snapshot.success = true;
  snapshot.ruleset = ruleset_;
  snapshot.counters = std::move(counters);
  snapshot.policies = std::move(policies);
  return snapshot;
}

Status LegacyReader::Rebuild(std::map<std::string, Blob> blobs) {
  known_.clear();
  auto ruleset = std::make_shared<Ruleset>();
  ruleset->backend = backend_;
  ruleset->generation = ++generation_;
  for (auto& [name, blob] : blobs) {
    KnownTable& known = known_[name];
    auto decoded = DecodeLegacyTable(name, family_, blob.info, blob.entries);
    if (!decoded) return Error{"the legacy table " + name + " is malformed", EPROTO};
    known.all_counters = LegacyCounterOffsets(family_, blob.entries);
    known.rule_counters = std::move(decoded->counter_offsets);
    known.policy_counters = std::move(decoded->policy_offsets);
    Zero(blob.entries, known.all_counters);
    known.blob = std::move(blob);
    ruleset->tables.push_back({family_, name, 0, 0});
    std::move(decoded->chains.begin(), decoded->chains.end(), std::back_inserter(ruleset->chains));
    std::move(decoded->rules.begin(), decoded->rules.end(), std::back_inserter(ruleset->rules));
  }
  FinishRuleset(*ruleset);
  ruleset->uses_ipsets = NameIpsets(*ruleset);
  AddTexts(*ruleset);
  ruleset_ = std::move(ruleset);
  return Ok();
}

void LegacyReader::AddTexts(Ruleset& ruleset) const {
  if (ruleset.rules.empty()) return;
  const auto listed = ListSaved(family_ == RuleFamily::kIp ? SaveTool::kIptablesLegacy : SaveTool::kIp6tablesLegacy);
  std::vector<Bytes> entries;  // by rule
  for (const auto& [name, known] : known_) {
    for (const std::size_t counter : known.rule_counters)
      entries.push_back(LegacyEntryOf(family_, known.blob.entries, counter));
  }
  for (const RuleChain& chain : ruleset.chains) {
    const std::vector<std::string>* texts = nullptr;
    if (listed) {
      const auto found = listed->find({chain.table, chain.name});
      if (found != listed->end() && found->second.size() == chain.rule_count) texts = &found->second;
    }
    for (std::size_t i = 0; i < chain.rule_count; ++i) {
      Rule& rule = ruleset.rules[chain.first_rule + i];
      rule.text = texts != nullptr ? (*texts)[i] : DescribeLegacyRule(rule, entries[chain.first_rule + i]);
    }
  }
}

}  // namespace conntally
