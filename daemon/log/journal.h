// Writes the log's entries to systemd's journal. Any thread.
#pragma once

#include <string_view>

namespace conntally {

// Whether the descriptor is the stream that systemd connected to the journal. `stream` is $JOURNAL_STREAM,
// "device:inode", or null. The variable alone is not enough: a service inherits it even if its standard error is
// redirected.
bool IsJournalStream(const char* stream, int descriptor);

// Sends an entry of JournalEntry(), and waits for journald without a limit. False if journald did not take it.
bool SendToJournal(std::string_view entry);

}  // namespace conntally
