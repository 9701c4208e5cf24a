# A file as an array of bytes in a C++ source: cmake -DINPUT=... -DOUTPUT=... -DHEADER=... -DFUNCTION=... -P embed.cmake
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "#include \"${HEADER}\"

namespace conntally {
namespace {
alignas(8) constexpr unsigned char kObject[] = {${bytes}};
}  // namespace
std::span<const unsigned char> ${FUNCTION}() { return kObject; }
}  // namespace conntally
")
