/* Reads a packet's headers: addresses, protocol, port or ICMP type. Only for the BPF compiler.
 *
 * Sources: RFC 791, RFC 8200. packet_header.cpp reads logged packets in the same way.
 */
#pragma once

static __always_inline int has_ports(__u8 protocol) {
  return protocol == 6 || protocol == 17 || protocol == 132 || protocol == 33 || protocol == 136;
}

/* The header must be in the packet's linear part, which netfilter's callers ensure. */
static __always_inline int read_at(void* to, unsigned int bytes, const unsigned char* head, unsigned int offset,
                                   unsigned int tail) {
  if (offset + bytes > tail) return -1;
  return (int)bpf_probe_read_kernel(to, bytes, head + offset);
}

static __always_inline int is_icmp(__u8 protocol) { return protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMPV6; }

static __always_inline void take_port(struct drop_record_key* key, const unsigned char* begin) {
  if (has_ports(key->protocol)) {
    key->destination_port = (unsigned short)(begin[2] << 8 | begin[3]);
  } else if (is_icmp(key->protocol)) {
    key->icmp_type = begin[0];
    key->flags |= DROP_HAS_ICMP_TYPE;
  }
}

static __always_inline void read_port(struct drop_record_key* key, const unsigned char* head, unsigned int offset,
                                      unsigned int tail) {
  unsigned char begin[4];
  if (read_at(begin, sizeof begin, head, offset, tail) == 0) take_port(key, begin);
}

static __always_inline int parse_ipv4(struct drop_record_key* key, const unsigned char* head, unsigned int offset,
                                      unsigned int tail) {
  enum { HEADER = 20, PLAIN = 0x45 };
  unsigned char ip[HEADER + 4]; /* with the port, if there are no options: one read */
  const int whole = read_at(ip, sizeof ip, head, offset, tail) == 0;
  if (!whole && read_at(ip, HEADER, head, offset, tail) != 0) return -1;
  if (ip[0] >> 4 != 4) return -1;
  key->family = 4;
  key->protocol = ip[9];
  __builtin_memcpy(key->source, ip + 12, 4);
  __builtin_memcpy(key->destination, ip + 16, 4);
  const int later_fragment = (ip[6] & 0x1f) != 0 || ip[7] != 0;
  if (later_fragment) return 0;
  if (whole && ip[0] == PLAIN) {
    take_port(key, ip + HEADER);
  } else {
    read_port(key, head, offset + (ip[0] & 15U) * 4, tail);
  }
  return 0;
}

static __always_inline int parse_ipv6(struct drop_record_key* key, const unsigned char* head, unsigned int offset,
                                      unsigned int tail) {
  unsigned char ip[40];
  if (read_at(ip, sizeof ip, head, offset, tail) != 0 || ip[0] >> 4 != 6) return -1;
  key->family = 6;
  __builtin_memcpy(key->source, ip + 8, 16);
  __builtin_memcpy(key->destination, ip + 24, 16);
  if (ip[24] == 0xff) key->hooks = HOOK_INPUT; /* multicast: a note for place(), which sets the hooks */
  __u8 next = ip[6];
  offset += sizeof ip;
#pragma unroll
  for (int i = 0; i < IPV6_HEADERS_MAX; ++i) {
    unsigned char extension[4];
    if (next != 0 && next != 43 && next != 44 && next != 51 && next != 60) break;
    if (read_at(extension, sizeof extension, head, offset, tail) != 0) break;
    key->protocol = extension[0];
    if (next == 44) {
      const int later_fragment = extension[2] != 0 || (extension[3] & 0xf8) != 0;
      if (later_fragment) return 0;
      offset += 8;
    } else {
      offset += next == 51 ? (extension[1] + 2U) * 4 : (extension[1] + 1U) * 8;
    }
    next = extension[0];
  }
  key->protocol = next;
  read_port(key, head, offset, tail);
  return 0;
}

static __always_inline int parse(struct drop_record_key* key, struct sk_buff* skb) {
  const unsigned char* head = skb->head;
  const unsigned int offset = skb->network_header;
  const unsigned int tail = skb->tail;
  switch (bpf_ntohs(skb->protocol)) {
    case ETHERTYPE_IPV4: return parse_ipv4(key, head, offset, tail);
    case ETHERTYPE_IPV6: return parse_ipv6(key, head, offset, tail);
    default: return -1;
  }
}
