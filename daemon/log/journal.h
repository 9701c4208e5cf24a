// The journal of systemd, as a place for the log's entries. Any thread.
#pragma once

#include <string_view>

namespace conntally {

// Whether the descriptor is the stream that systemd connected to the journal. `stream` is $JOURNAL_STREAM,
// "device:inode", or null: a service whose standard error was redirected inherits the variable all the same.
bool IsJournalStream(const char* stream, int descriptor);

// Sends an entry of JournalEntry(), and waits for journald as long as it takes. False when it was not taken.
bool SendToJournal(std::string_view entry);

}  // namespace conntally
