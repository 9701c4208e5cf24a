#include "collectors/netlink/query.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink_log.h>

#include "collectors/netlink/messages.h"
#include "test/support/catch.h"
#include "test/support/message_builder.h"

namespace conntally::test {
namespace {

using Wants = NetlinkRequest::Wants;

Buffer Control(std::uint16_t type, const Buffer& payload, std::uint16_t flags = 0) {
  return Join({HostBytes(nlmsghdr{static_cast<std::uint32_t>(16 + payload.size()), type, flags, 0, 0}), payload});
}
Buffer Refusal(int code) { return Control(NLMSG_ERROR, HostBytes(nlmsgerr{-code, {}})); }

}  // namespace

TEST_CASE("a request holds its header and its attributes as the kernel's own macros lay them out") {
  NetlinkRequest request(NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG, Wants::kOne, AF_UNSPEC, 5);
  request.Put(NFULA_CFG_FLAGS, htons(1)).PutText(2, "abc").Put(3, std::uint8_t{6});
  const Buffer attributes =
      Join({Field(NFULA_CFG_FLAGS, std::uint16_t{1}),
            Field(2, Buffer{std::byte{'a'}, std::byte{'b'}, std::byte{'c'}, std::byte{0}}), Field(3, std::uint8_t{6})});
  const nlmsghdr header{static_cast<std::uint32_t>(20 + attributes.size()), NFNL_SUBSYS_ULOG << 8 | NFULNL_MSG_CONFIG,
                        NLM_F_REQUEST | NLM_F_ACK, 0, 0};
  const Buffer expected = Join({HostBytes(header), HostBytes(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, htons(5)}), attributes});
  CHECK(Buffer(request.bytes().begin(), request.bytes().end()) == expected);
  CHECK_FALSE(request.too_long());
}

TEST_CASE("a request takes texts of names up to 1 KiB, and is not sent when one has no room") {
  NetlinkRequest request(1, Wants::kDump);
  request.PutText(1, std::string(1000, 'x'));
  CHECK_FALSE(request.too_long());
  request.PutText(2, std::string(1000, 'x'));
  CHECK(request.too_long());
  auto socket = NetlinkSocket::Open();
  REQUIRE(socket);
  CHECK(SendRequest(*socket, request).error().code == EMSGSIZE);
}

TEST_CASE("what ends an answer is told from what refuses it") {
  CHECK(*ReadControl(Refusal(0)) == ReplyProgress::kDone);
  CHECK(*ReadControl(Control(NLMSG_DONE, HostBytes(0))) == ReplyProgress::kDone);
  CHECK(*ReadControl(Control(NLMSG_DONE, {})) == ReplyProgress::kDone);
  CHECK(*ReadControl(Control(NLMSG_MIN_TYPE, {})) == ReplyProgress::kMore);
  CHECK(ReadControl(Refusal(EPERM)).error().code == EPERM);
  CHECK(ReadControl(Control(NLMSG_ERROR, Buffer(3))).error().code == EPROTO);
  CHECK(ReadControl(Control(NLMSG_MIN_TYPE, {}, NLM_F_DUMP_INTR)).error().code == EINTR);
}

TEST_CASE("a dump that failed on its way is an error and no short list") {
  CHECK(ReadControl(Control(NLMSG_DONE, HostBytes(-ENOMEM))).error().code == ENOMEM);
}

}  // namespace conntally::test
