/* What the eBPF program and the daemon share: C, for both compilers. Every byte of a key is set, since the kernel
 * compares them all. */
#pragma once

enum {
  DROP_RECORDS_MAX = 65536, /* keys in each of the two maps */
};

struct drop_record_key {
  unsigned char source[16]; /* IPv4 in the first 4 bytes, the rest 0 */
  unsigned int in_interface;
  unsigned int out_interface;
  unsigned short destination_port; /* host byte order */
  unsigned char protocol;
  unsigned char family; /* 4 or 6 */
  unsigned char hooks;  /* bits of HookSet */
  unsigned char zero[3];
};

struct drop_settings {
  unsigned int namespace_inode; /* of the network namespace that is watched */
};

/* Of each CPU. */
struct drop_losses {
  unsigned long long overflow; /* dropped packets that found no room in the map */
  unsigned long long no_ip;    /* dropped packets that are neither IPv4 nor IPv6, or whose header cannot be read */
};
