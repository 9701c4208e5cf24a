// Reads the recordings of test/golden/conntrack (record_conntrack.py says what they are).
#pragma once

#include <algorithm>
#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <string>
#include <vector>

#include "collectors/netlink/messages.h"

namespace conntally::test {

using Buffer = std::vector<std::byte>;

struct Recording {
  std::string scenario;  // the file's name without ".bin"
  std::vector<Buffer> datagrams;
};

inline Recording ReadRecording(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::vector<char> content{std::istreambuf_iterator<char>(file), {}};
  Bytes rest = std::as_bytes(std::span(content));
  Recording recording{path.stem().string(), {}};
  while (!rest.empty()) {
    if (rest.size() < 4) throw std::runtime_error("cut short: " + path.string());
    const std::size_t length = LoadHostOrder<std::uint32_t>(rest);
    if (length > rest.size() - 4) throw std::runtime_error("cut short: " + path.string());
    rest = rest.subspan(4);
    recording.datagrams.emplace_back(rest.begin(), rest.begin() + static_cast<std::ptrdiff_t>(length));
    rest = rest.subspan(length);
  }
  return recording;
}

// Every recording of `directory`, by name.
inline std::vector<Recording> ReadRecordings(const std::filesystem::path& directory) {
  std::vector<Recording> recordings;
  for (const auto& entry : std::filesystem::directory_iterator(directory))
    recordings.push_back(ReadRecording(entry.path()));
  std::sort(recordings.begin(), recordings.end(),
            [](const Recording& a, const Recording& b) { return a.scenario < b.scenario; });
  return recordings;
}

// Every message of every datagram.
inline std::vector<Buffer> Messages(const Recording& recording) {
  std::vector<Buffer> messages;
  for (const Buffer& datagram : recording.datagrams) {
    MessageWalk walk(datagram);
    for (Bytes message; walk.Next(message);) messages.emplace_back(message.begin(), message.end());
    if (walk.malformed()) throw std::runtime_error("malformed datagram in " + recording.scenario);
  }
  return messages;
}

}  // namespace conntally::test
