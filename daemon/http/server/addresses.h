// Between which addresses a connection is. Any thread.
#pragma once

#include <string>

namespace conntally::http {

// Its client asked a loopback address; also where that cannot be told.
bool IsByLoopback(int descriptor);

// Nobody but this host reaches the socket.
bool IsOnLoopback(int listening_descriptor);

// The bytes of the client's address, of IPv6 those of its /64, which is what one client has. Empty where it has none.
std::string ClientOf(int descriptor);

}  // namespace conntally::http
