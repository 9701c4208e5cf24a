// The floor that conntally is measured against: receives what the kernel sends and looks at none of it.
//
//   bare_receiver events [--no-update] [--batch N] [--gather-ms N] [--bpf-drop-update]
//                                     conntrack events by gathered recvmmsg, until SIGTERM
//   bare_receiver dump                one dump of the table by recv
//
// The last line of output is JSON. It shares no code with the daemon, so that a mistake there cannot move the floor.
#include <linux/filter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <arpa/inet.h>

#include <array>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>
#include <vector>

namespace {

volatile std::sig_atomic_t g_stop = 0;

[[noreturn]] void Fail(const char* doing) {
  std::perror(doing);
  std::exit(1);
}

int OpenSocket() {
  const int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  sockaddr_nl any{};
  any.nl_family = AF_NETLINK;
  if (fd < 0 || bind(fd, reinterpret_cast<const sockaddr*>(&any), sizeof any) < 0) Fail("netlink socket");
  return fd;
}

// Lets through what is no IPCTNL_MSG_CT_NEW, and of those only what NLM_F_CREATE says is new.
void DropUpdates(int fd) {
  static std::array<sock_filter, 6> program = {{
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 4),                          // low byte of nlmsg_type, host order
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPCTNL_MSG_CT_NEW, 0, 2),   //
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 7),                          // high byte of nlmsg_flags
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, NLM_F_CREATE >> 8, 0, 1),  //
      BPF_STMT(BPF_RET | BPF_K, 0xFFFF),                              //
      BPF_STMT(BPF_RET | BPF_K, 0),
  }};
  sock_fprog filter{program.size(), program.data()};
  if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter) < 0) Fail("SO_ATTACH_FILTER");
}

struct Options {
  bool updates = true;
  bool filter = false;
  std::size_t batch = 512;
  long gather_ms = 5;
};

int ReceiveEvents(const Options& options) {
  const int fd = OpenSocket();
  const int buffer_bytes = 64 << 20;
  const int on = 1;
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer_bytes, sizeof buffer_bytes) < 0) Fail("SO_RCVBUFFORCE");
  if (setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof on) < 0) Fail("NETLINK_NO_ENOBUFS");
  if (options.filter) DropUpdates(fd);
  for (const int group : {NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE, NFNLGRP_CONNTRACK_DESTROY}) {
    if (group == NFNLGRP_CONNTRACK_UPDATE && !options.updates) continue;
    if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0) Fail("join");
  }

  constexpr std::size_t kDatagramBytes = 2048;
  std::vector<char> bytes(options.batch * kDatagramBytes);
  std::vector<iovec> slices(options.batch);
  std::vector<mmsghdr> headers(options.batch);
  for (std::size_t i = 0; i < options.batch; ++i) {
    slices[i] = {&bytes[i * kDatagramBytes], kDatagramBytes};
    headers[i].msg_hdr.msg_iov = &slices[i];
    headers[i].msg_hdr.msg_iovlen = 1;
  }
  std::puts("ready");
  std::fflush(stdout);

  std::uint64_t received = 0;
  const timespec gather{0, options.gather_ms * 1'000'000};
  while (g_stop == 0) {
    const int count = recvmmsg(fd, headers.data(), static_cast<unsigned>(options.batch), MSG_DONTWAIT, nullptr);
    if (count > 0) received += static_cast<std::uint64_t>(count);
    if (count < static_cast<int>(options.batch)) nanosleep(&gather, nullptr);
  }
  std::array<std::uint32_t, SK_MEMINFO_VARS> memory{};
  socklen_t length = sizeof memory;
  if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, memory.data(), &length) < 0) Fail("SO_MEMINFO");
  std::printf("{\"received\": %llu, \"lost\": %u}\n", static_cast<unsigned long long>(received),
              memory[SK_MEMINFO_DROPS]);
  return 0;
}

int ReceiveDump() {
  const int fd = OpenSocket();
  struct {
    nlmsghdr header;
    nfgenmsg family;
  } request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  if (send(fd, &request, sizeof request, 0) < 0) Fail("ask for a dump");
  alignas(nlmsghdr) static std::array<char, 32 * 1024> buffer;
  std::uint64_t bytes = 0;
  for (;;) {
    const ssize_t received = recv(fd, buffer.data(), buffer.size(), 0);
    if (received < 0) Fail("recv");
    bytes += static_cast<std::uint64_t>(received);
    if (reinterpret_cast<const nlmsghdr*>(buffer.data())->nlmsg_type == NLMSG_DONE) break;
  }
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  std::printf("{\"bytes\": %llu, \"cpu_seconds\": %.4f}\n", static_cast<unsigned long long>(bytes),
              seconds(usage.ru_utime) + seconds(usage.ru_stime));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::signal(SIGTERM, [](int) { g_stop = 1; });
  Options options;
  const std::string_view mode = argc > 1 ? argv[1] : "";
  for (int i = 2; i < argc; ++i) {
    const std::string_view flag = argv[i];
    if (flag == "--no-update")
      options.updates = false;
    else if (flag == "--bpf-drop-update")
      options.filter = true;
    else if (flag == "--batch" && i + 1 < argc)
      options.batch = std::strtoul(argv[++i], nullptr, 10);
    else if (flag == "--gather-ms" && i + 1 < argc)
      options.gather_ms = std::strtol(argv[++i], nullptr, 10);
    else
      return 2;
  }
  if (mode == "events") return ReceiveEvents(options);
  if (mode == "dump") return ReceiveDump();
  return 2;
}
