// DecodeFlow against libnetfilter_conntrack, which conntrack(8) reads the kernel with. Used by the unit
// test and by the fuzzer, so that both hold the decoder to one rule. Any thread.
//
// The rule, for any bytes at all: DecodeFlow yields kFlow exactly when the library accepts the message
// and finds the original direction's addresses and protocol in it, and every field is then equal.
//
// The exceptions, each as narrow as it can be stated; in all of them but (f) and (g) we must refuse:
//  (a) The library is handed a parsed header: it looks neither at the message type nor at nlmsg_len
//      (one under 20 makes its length wrap around) and takes any nfgen_family. We must say kMalformed,
//      kControl or kUnsupported as decode.h has it.
//  (b) An attribute of a wrong length that DecodeFlow reads: the library calls exit(3) on it.
//  (c) Bytes that are no attribute where DecodeFlow walks: the library ignores them and what follows,
//      so a message cut short would pass for one that lacks, say, its zone.
//  (d) An address of the family that nfgen_family is not: the library overlays both in one union.
//  (e) A TCP state past the enum's end: the library passes it on.
//  (f) Fields of another protocol in the original tuple (ports of an ICMP flow): the library overlays
//      them in one union, DecodeFlow reads those of CTA_PROTO_NUM. Ports are then not compared.
//  (g) In attributes that DecodeFlow does not read: a wrong length (exit again), an unterminated
//      CTA_HELP_NAME or CTA_SECCTX_NAME (read past its end), CTA_PROTOINFO children 4 and 5 (written
//      past the end of an array on its stack: nfct_parse_protoinfo_attr_cb bounds them by
//      CTA_PROTOINFO_TCP_MAX). The library cannot be asked, so nothing is compared.
#pragma once

#include <optional>
#include <string>

#include "collectors/netlink/attributes.h"

namespace conntally::test {

enum class Comparison {
  kAgreed,       // by the rule, or by an exception in which we must refuse
  kNotComparable,  // exception (g)
  kDisagreed,
};

struct OracleReport {
  Comparison comparison = Comparison::kAgreed;
  bool is_flow = false;  // what DecodeFlow said
  std::string text;      // what differs, when kDisagreed
};

OracleReport CompareWithOracle(Bytes message);

}  // namespace conntally::test
