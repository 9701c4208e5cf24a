// Result<T>: a value, or an error that says what was being done and why it failed. Recoverable failures (kernel, files,
// peers) are values; exceptions are only for start-up and for third-party code. As thread-safe as T.
#pragma once

#include <cerrno>
#include <cstring>
#include <string>
#include <utility>
#include <variant>

namespace conntally {

struct Error {
  std::string message;  // "while doing X: reason", ready for the log
  int code = 0;         // errno if the kernel gave one, else 0

  static Error FromErrno(std::string doing, int code) { return {doing + ": " + std::strerror(code), code}; }
};

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : held_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : held_(std::in_place_index<1>, std::move(error)) {}

  explicit operator bool() const { return held_.index() == 0; }
  T& value() { return std::get<0>(held_); }
  const T& value() const { return std::get<0>(held_); }
  T* operator->() { return &std::get<0>(held_); }
  const T* operator->() const { return &std::get<0>(held_); }
  T& operator*() { return std::get<0>(held_); }
  const T& operator*() const { return std::get<0>(held_); }
  const Error& error() const { return std::get<1>(held_); }

 private:
  std::variant<T, Error> held_;
};

struct Unit {};
using Status = Result<Unit>;
inline Status Ok() { return Unit{}; }

}  // namespace conntally
