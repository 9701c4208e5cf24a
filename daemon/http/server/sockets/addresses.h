// Between which addresses a connection is. Any thread.
#pragma once

#include <string>
#include <vector>

namespace conntally::http {

// Its client asked a loopback address; also where that cannot be told.
bool IsByLoopback(int descriptor);

// Nobody but this host reaches the socket.
bool IsOnLoopback(int listening_descriptor);

// The bytes of the client's address, of IPv6 those of its /64, which is what one client has. Empty where it has none.
std::string ClientOf(int descriptor);

// Adds the names that this host's own file of hosts has for loopback addresses.
void AddLoopbackNames(std::vector<std::string>& names);

}  // namespace conntally::http
