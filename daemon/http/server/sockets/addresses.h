// The addresses of a connection's two ends. Any thread.
#pragma once

#include <string>
#include <vector>

namespace conntally::http {

// Whether its client connected to a loopback address; true if that is unknown.
bool IsByLoopback(int descriptor);

// Whether only this host can reach the socket.
bool IsOnLoopback(int listening_descriptor);

// The bytes of the client's address, for IPv6 of its /64, since one client has a whole /64. Empty if it has none.
std::string ClientOf(int descriptor);

// Adds the names of loopback addresses in this host's hosts file.
void AddLoopbackNames(std::vector<std::string>& names);

}  // namespace conntally::http
