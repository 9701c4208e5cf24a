/* A network namespace as our programs read it from the kernel's structures; libbpf relocates the fields by the running
 * kernel's BTF when it loads a program (CO-RE). Only for the BPF compiler.
 *
 * Sources: include/linux/ns_common.h, include/net/net_namespace.h.
 */
#pragma once

#define KERNEL_TYPE __attribute__((preserve_access_index))

struct ns_common {
  unsigned int inum;
} KERNEL_TYPE;
struct net {
  struct ns_common ns;
} KERNEL_TYPE;
typedef struct {
  struct net* net;
} possible_net_t;
