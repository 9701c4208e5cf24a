/* Shared by the eBPF program and the daemon: C, for both compilers. Every byte of a key is set, since the kernel
 * compares all of them. */
#pragma once

enum {
  DROP_RECORDS_MAX = 65536,  /* keys in each of the two maps */
  DROP_SOURCES_MAX = 16384,  /* and in each of the two for sources without room there, without destination */
  DROP_REASON_NUMBERS = 256, /* the kernel's reason numbers that may be counted */
  DROP_REASONS_MAX = 32,     /* that are counted */
};

enum { /* drop_record_key.flags */
       DROP_HAS_ICMP_TYPE = 1,
       DROP_HAS_ORIGINAL = 2,        /* original_* are set; else as the packet's own */
       DROP_WITHOUT_DESTINATION = 4, /* there was no room for it */
};

struct drop_record_key {
  unsigned char source[16]; /* of the packet; IPv4 in the first 4 bytes, the rest 0; so all addresses */
  unsigned char destination[16];
  unsigned char original_source[16]; /* of the connection's original direction */
  unsigned char original_destination[16];
  unsigned int in_interface;
  unsigned int out_interface;
  unsigned short destination_port; /* host byte order */
  unsigned short original_port;    /* the destination's, likewise */
  unsigned char protocol;
  unsigned char family; /* 4 or 6 */
  unsigned char hooks;  /* bits of HookSet */
  unsigned char icmp_type;
  unsigned char flags;
  unsigned char state; /* a bit as nft and iptables know the connection's (NF_CT_STATE_BIT); 0: not known */
  unsigned char zero[2];
};

/* Fixed before the program is loaded. */
struct drop_settings {
  unsigned int namespace_inode;                    /* of the network namespace that is watched */
  unsigned char reason_slots[DROP_REASON_NUMBERS]; /* by the kernel's number: place in drop_reasons, plus 1; 0: none */
};

/* Where struct nf_conn has what is read of it. It may be known late: the kernel's module says so once it is loaded. */
struct connection_layout {
  unsigned int known;
  unsigned int status;
  unsigned int original_tuple;
};

/* Of each CPU. */
struct drop_sums {
  unsigned long long counted;  /* dropped packets in the maps, each added after it is there */
  unsigned long long overflow; /* dropped packets that found no room in any map */
  unsigned long long no_ip;    /* dropped packets that are neither IPv4 nor IPv6, or whose header cannot be read */
};
struct drop_reasons {
  unsigned long long packets[DROP_REASONS_MAX];
};
