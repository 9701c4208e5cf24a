// Data that can be accessed only under its lock.
//
//   Guarded<std::string> failure;
//   failure.Lock()->clear();                       // for this statement
//   const auto held = failure.Lock();              // until the end of the block
//   changed.wait(held.lock(), [&] { return !held->empty(); });
//
// Threads: any. The lock is not recursive.
#pragma once

#include <mutex>
#include <utility>

namespace conntally {

template <typename T>
class Guarded {
 public:
  template <typename Data>
  class Access {
   public:
    Access(std::mutex& mutex, Data& data) : lock_(mutex), data_(data) {}
    Data& operator*() const { return data_; }
    Data* operator->() const { return &data_; }
    std::unique_lock<std::mutex>& lock() const { return lock_; }  // to wait with; the data may have changed afterwards

   private:
    mutable std::unique_lock<std::mutex> lock_;
    Data& data_;
  };

  Guarded() = default;
  explicit Guarded(T data) : data_(std::move(data)) {}

  [[nodiscard]] Access<T> Lock() { return {mutex_, data_}; }
  [[nodiscard]] Access<const T> Lock() const { return {mutex_, data_}; }
  T Copy() const { return *Lock(); }

 private:
  mutable std::mutex mutex_;
  T data_{};
};

}  // namespace conntally
