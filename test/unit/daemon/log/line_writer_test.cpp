#include "daemon/log/line_writer.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <future>
#include <string>
#include <thread>

#include "collectors/system/file_descriptor.h"
#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;

namespace {

// A pipe, or what systemd gives its services as standard error.
enum class Kind { kPipe, kSocket };

struct Pipe {
  explicit Pipe(Kind kind = Kind::kPipe) {
    std::array<int, 2> ends{};
    if (kind == Kind::kPipe) {
      REQUIRE(pipe2(ends.data(), O_CLOEXEC) == 0);
    } else {
      REQUIRE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    }
    reading = FileDescriptor(ends[0]);
    writing = FileDescriptor(ends[1]);
    signal(SIGPIPE, SIG_IGN);
  }
  FileDescriptor reading, writing;
};

std::string Line(int number) { return "line " + std::to_string(number) + std::string(90, '.') + '\n'; }

std::string Lines(int count) {
  std::string lines;
  for (int i = 0; i < count; ++i) lines += Line(i);
  return lines;
}

std::string Read(const FileDescriptor& from, std::size_t bytes) {
  std::string text;
  std::array<char, 4096> piece{};
  while (text.size() < bytes) {
    const ssize_t count = read(from.get(), piece.data(), std::min(piece.size(), bytes - text.size()));
    if (count <= 0) break;
    text.append(piece.data(), static_cast<std::size_t>(count));
  }
  return text;
}

// What it holds then.
std::string Fill(const FileDescriptor& pipe) {
  REQUIRE(fcntl(pipe.get(), F_SETFL, O_NONBLOCK) == 0);
  std::string held;
  while (write(pipe.get(), "x", 1) == 1) held += 'x';
  REQUIRE(fcntl(pipe.get(), F_SETFL, 0) == 0);
  return held;
}

std::string Contents(const std::string& path) {
  return Read(FileDescriptor(open(path.c_str(), O_RDONLY | O_CLOEXEC)), 1 << 20);
}

}  // namespace

TEST_CASE("lines are written in their order") {
  const Pipe pipe(GENERATE(Kind::kPipe, Kind::kSocket));
  LineWriter writer(pipe.writing.get());
  writer.Start();
  std::string read;
  std::thread reader([&] { read = Read(pipe.reading, Lines(5000).size()); });
  int pushed = 0;
  for (int i = 0; i < 5000; ++i) pushed += writer.Push(Line(i)) ? 1 : 0;
  reader.join();
  CHECK(pushed == 5000);
  CHECK(read == Lines(5000));
  CHECK(writer.lost() == 0);
}

TEST_CASE("what nobody reads is kept up to a bound, what is beyond it is lost and counted, and nobody waits") {
  const Pipe pipe(GENERATE(Kind::kPipe, Kind::kSocket));
  const std::string before = Fill(pipe.writing);
  std::string kept;
  {
    LineWriter writer(pipe.writing.get());
    writer.Start();
    int pushed = 0;
    while (writer.Push(Line(pushed))) ++pushed;
    CHECK(writer.lost() == 1);
    CHECK_FALSE(writer.Push(Line(pushed)));
    CHECK(writer.lost() == 2);
    writer.Drain(10ms);
    kept = Lines(pushed);
    CHECK(kept.size() + Line(pushed).size() > LineWriter::kQueuedBytesMax);
  }  // which waits for nobody, either
  CHECK(Read(pipe.reading, before.size() + kept.size()) == before + kept);
}

TEST_CASE("without its thread, lines are written at once or lost") {
  const Pipe pipe;
  LineWriter writer(pipe.writing.get());
  CHECK(writer.Push("first\n"));
  CHECK(Read(pipe.reading, 6) == "first\n");
  const std::string more_than_a_pipe_holds(1 << 20, 'x');
  CHECK_FALSE(writer.Push(more_than_a_pipe_holds));
  CHECK(writer.lost() == 1);
}

TEST_CASE("a descriptor that takes nothing loses lines, and they are counted") {
  const FileDescriptor full(open("/dev/full", O_WRONLY | O_CLOEXEC));
  Pipe left;
  left.reading = FileDescriptor();
  for (const int descriptor : {full.get(), left.writing.get(), -1}) {
    LineWriter writer(descriptor);
    writer.Start();
    for (int i = 0; i < 3; ++i) writer.Push(Line(i));
    writer.Drain(10s);
    CHECK(writer.lost() == 3);
  }
}

TEST_CASE("a descriptor that somebody made non-blocking gets whole lines") {
  const Pipe pipe;
  REQUIRE(fcntl(pipe.writing.get(), F_SETFL, O_NONBLOCK) == 0);
  LineWriter writer(pipe.writing.get());
  writer.Start();
  for (int i = 0; i < 5000; ++i) CHECK(writer.Push(Line(i)));
  CHECK(Read(pipe.reading, Lines(5000).size()) == Lines(5000));
}

TEST_CASE("after a line that was torn the next one begins its own") {
  std::string path = "/tmp/conntally-torn-XXXXXX";
  const FileDescriptor file(mkstemp(path.data()));
  LineWriter writer(file.get());
  writer.Start();
  signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const rlimit ten_bytes{10, before.rlim_max};
  REQUIRE(setrlimit(RLIMIT_FSIZE, &ten_bytes) == 0);
  writer.Push("12345678\n");
  writer.Push("torn\n");
  writer.Drain(10s);
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  writer.Push("whole\n");
  writer.Drain(10s);
  CHECK(Contents(path) == "12345678\nt\nwhole\n");
  CHECK(writer.lost() == 1);
  unlink(path.c_str());
}

TEST_CASE("a place that takes nothing makes nobody wait, and what it does not take in the end is counted") {
  std::promise<bool> taken;
  std::shared_future<bool> answer = taken.get_future().share();
  LineWriter writer([answer](std::string_view) { return answer.get(); });
  writer.Start();
  int pushed = 0;
  while (writer.Push(Line(pushed))) ++pushed;  // the first entry waits, the others queue up
  CHECK(writer.lost() == 1);
  taken.set_value(false);
  writer.Drain(10s);
  CHECK(writer.lost() == 1 + static_cast<std::uint64_t>(pushed));
}
