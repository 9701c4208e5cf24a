#include <string>

#include "collectors/rules/nft/decode/nft_rule_decoder.h"

namespace conntally {

std::string CommentOf(Bytes userdata) {
  // nft's TLVs: a byte of type (0: the comment), a byte of length, text with a NUL.
  while (userdata.size() >= 2) {
    const auto type = std::to_integer<unsigned>(userdata[0]), length = std::to_integer<unsigned>(userdata[1]);
    userdata = userdata.subspan(2);
    if (length > userdata.size()) break;
    if (type == 0) return std::string(AttributeText(userdata.first(length)));
    userdata = userdata.subspan(length);
  }
  return {};
}

}  // namespace conntally
