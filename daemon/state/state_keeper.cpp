#include "daemon/state/state_keeper.h"

#include <spdlog/spdlog.h>

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <utility>

#include "collectors/system/threads/worker_thread.h"
#include "daemon/state/state_file.h"

namespace conntally {
namespace {

StateTime Now() { return std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()); }

}  // namespace

std::string StateDirectoryOfSystemd() {
  const char* const named = getenv("STATE_DIRECTORY");
  const std::string text = named == nullptr ? "" : named;
  return text.substr(0, text.find(':'));
}

struct StateKeeper::Writer {
  Writer(std::string directory, std::string its_namespace_path)
      : file(std::move(directory)), namespace_path(std::move(its_namespace_path)) {}

  void Run();
  void Write(const State& state);

  const StateFile file;
  const std::string namespace_path;
  bool failing = false;  // only the thread uses it

  std::mutex mutex;  // guards the members below
  std::condition_variable changed;
  std::optional<State> next;
  bool writing = false;
  bool stopping = false;
};

void StateKeeper::Writer::Write(const State& state) {
  const auto text = ComposeState(state, ThisOrigin(namespace_path), Now());
  const Status written = text ? file.Write(*text) : Status(text.error());
  if (!written && !failing) {
    spdlog::error("state: cannot write {}; a restart will forget firing alerts: {}", file.path(),
                  written.error().message);
  } else if (written && failing) {
    spdlog::info("state: {} is written again", file.path());
  }
  failing = !written;
}

void StateKeeper::Writer::Run() {
  std::unique_lock lock(mutex);
  for (;;) {
    changed.wait(lock, [&] { return next || stopping; });
    if (!next) return;
    const State state = std::move(*std::exchange(next, std::nullopt));
    writing = true;
    lock.unlock();
    const Status tried = Caught([&] { Write(state); });
    if (!tried) spdlog::error("state: {}", tried.error().message);
    lock.lock();
    writing = false;
    changed.notify_all();
  }
}

StateKeeper::StateKeeper(std::string directory, std::string namespace_path)
    : directory_(std::move(directory)), namespace_path_(std::move(namespace_path)) {}

std::optional<State> StateKeeper::Load() const {
  if (!keeps()) return std::nullopt;
  const StateFile file(directory_);
  const auto text = file.Read(kStateBytesMax);
  if (text && !*text) return std::nullopt;
  auto state = text ? ParseState(**text, ThisOrigin(namespace_path_), Now()) : Result<State>(text.error());
  if (state) {
    spdlog::info("state: {} s old, from {}", state->age.count(), file.path());
    return std::move(*state);
  }
  // A file system that does not answer would not rename it either.
  const bool hangs = !text && text.error().code == ETIMEDOUT;
  const Status aside = hangs ? Status(Error{"its file system does not answer"}) : file.SetAside();
  spdlog::warn("state: {} is of no use: {}; {}", file.path(), state.error().message,
               aside ? "it is " + file.path() + ".bad now" : aside.error().message);
  return std::nullopt;
}

void StateKeeper::Save(State state) {
  if (!keeps()) return;
  if (!writer_) {
    writer_ = std::make_shared<Writer>(directory_, namespace_path_);
    StartThread("state", [writer = writer_] { writer->Run(); }).detach();
  }
  {
    const std::lock_guard lock(writer_->mutex);
    writer_->next = std::move(state);
  }
  writer_->changed.notify_all();
}

void StateKeeper::Stop() {
  if (!writer_) return;
  std::unique_lock lock(writer_->mutex);
  writer_->stopping = true;
  writer_->changed.notify_all();
  const bool written = writer_->changed.wait_for(lock, kFarewell, [&] { return !writer_->next && !writer_->writing; });
  lock.unlock();
  if (!written) spdlog::warn("state: its file system does not answer; the last state is not written");
  writer_.reset();
}

}  // namespace conntally
