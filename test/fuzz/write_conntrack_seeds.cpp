// write_conntrack_seeds DIRECTORY: each recorded conntrack message as a file of its own.
#include "test/support/recording.h"

int main(int argc, char** argv) {
  using namespace conntally::test;
  if (argc != 2) return 2;
  const std::filesystem::path directory = argv[1];
  std::filesystem::create_directories(directory);
  for (const Recording& recording : ReadRecordings(CONNTALLY_CONNTRACK_RECORDINGS)) {
    unsigned number = 0;
    for (const Buffer& message : Messages(recording)) {
      std::ofstream file(directory / (recording.scenario + "_" + std::to_string(number++)), std::ios::binary);
      file.write(reinterpret_cast<const char*>(message.data()), static_cast<std::streamsize>(message.size()));
    }
  }
  return 0;
}
