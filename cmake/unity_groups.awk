# Which sources can be compiled as one: "GROUP FILE" for each .cpp; the .h are only read. Two files part where one has a helper of its own (in
# a namespace without a name) that is named like something in the other, and where one reads the kernel's headers, which define anew what
# libc's do. Who names a helper like something in a header of its namespace stays alone; so the headers come first.
# In this tree what stands at namespace level begins in the first column.

function Name(line) {
  sub(/[({=;].*/, "", line)  # what follows the name
  sub(/ +(final)? *(: .*)?$/, "", line)
  sub(/\[.*/, "", line)
  sub(/ +$/, "", line)
  sub(/.*[^A-Za-z0-9_]/, "", line)
  return line
}

# Functions of one name get along where their parameters differ.
function Signature(line) {
  return Name(line) (match(line, /\([^)]*/) ? substr(line, RSTART, RLENGTH) : "")
}

function Space(   text, i) {
  for (i = 1; i <= depth; i++) text = text "::" space[i]
  return text
}

FNR == 1 { in_header = FILENAME ~ /\.h$/; depth = unnamed = 0; if (!in_header) files[++count] = FILENAME }
/^namespace .*\{/ {
  if ($2 == "{") { unnamed = 1; next }
  space[++depth] = $2
  next
}
/^}  \/\/ namespace/ { if (unnamed) unnamed = 0; else depth--; next }
in_header {
  if (/^[A-Za-z]/ && !/^(using namespace|extern|template|requires)/) declared[Space(), Signature($0)] = 1
  next
}
/^#include <linux\// || /^#include "collectors\/(netlink\/messages|conntrack\/flow_reading)\.h"/ { kind[count] = "kernel" }
/^[A-Za-z]/ && !/^(namespace|using namespace|extern|return|public|private|template|requires)/ {
  name = Name($0)
  # A member, or a function of a named namespace: of its class, not of this file's alone.
  if (name == "" || $0 ~ ("::" name "[({ ]")) next
  if (unnamed) {
    own[count, name] = 1
    if ((Space(), Signature($0)) in declared) kind[count] = "alone " count
  }
  all[count] = all[count] " " name
}

function Clash(a, b,   names, n, i) {
  n = split(all[a], names, " ")
  for (i = 1; i <= n; i++) {
    if ((b, names[i]) in own) return 1
    if ((a, names[i]) in own && index(all[b] " ", " " names[i] " ")) return 1
  }
  return 0
}

END {
  for (i = 1; i <= count; i++) {
    for (group = 1; ; group++) {
      clash = 0
      members = split(in_group[group], member, " ")
      for (m = 1; m <= members && !clash; m++) clash = kind[member[m]] != kind[i] || members >= most || Clash(i, member[m])
      if (!clash) break
    }
    in_group[group] = in_group[group] " " i
    print group, files[i]
  }
}
