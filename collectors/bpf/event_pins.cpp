// Pins the event program, and opens the pins. They are four objects in one directory; only all of them together are
// complete. The link, which attaches the program, is pinned last and removed first.
#include <bpf/bpf.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <array>

#include "collectors/bpf/attached_events.h"

namespace conntally {
namespace {

constexpr long kBpfFileSystem = 0xcafe4a11;  // BPF_FS_MAGIC
constexpr const char* kReaders = "conntally-bpf";
constexpr std::array<const char*, 4> kPins{"records", "counters", "program", "link"};

Status Allow(const std::string& path, mode_t mode, gid_t group) {
  if (chown(path.c_str(), 0, group) == 0 && chmod(path.c_str(), mode) == 0) return Ok();
  return Error::FromErrno("cannot hand " + path + " to the group " + kReaders, errno);
}

Status CheckFileSystem(const std::string& directory) {
  struct statfs status {};
  if (statfs(directory.c_str(), &status) != 0) return Error::FromErrno("cannot look at " + directory, errno);
  if (status.f_type == kBpfFileSystem) return Ok();
  return Error{directory + " is on no BPF file system: mount -t bpf bpf /sys/fs/bpf", EINVAL};
}

Result<FileDescriptor> OpenPin(const std::string& directory, const char* name) {
  const std::string path = directory + "/" + name;
  FileDescriptor pin(bpf_obj_get(path.c_str()));
  if (!pin) return Error::FromErrno("cannot open " + path, errno);
  return pin;
}

}  // namespace

Result<std::unique_ptr<AttachedEvents>> AttachedEvents::OpenPinned(const std::string& directory) {
  FileDescriptor lock(open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock && errno == ENOENT) return Error{"nothing is pinned in " + directory, ENOENT};
  if (!lock) return Error::FromErrno("cannot open " + directory, errno);
  if (flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    return Error{"another process reads the events that are pinned in " + directory, EBUSY};
  }
  auto records = OpenPin(directory, "records");
  auto counters = OpenPin(directory, "counters");
  auto program = OpenPin(directory, "program");
  auto link = OpenPin(directory, "link");
  for (const auto* pin : {&records, &counters, &program, &link}) {
    if (!*pin) return pin->error();
  }
  std::unique_ptr<AttachedEvents> events(new AttachedEvents);
  events->way_ = "pinned";
  events->lock_ = std::move(lock);
  events->opened_program_ = std::move(*program);
  events->opened_link_ = std::move(*link);
  events->program_fd_ = events->opened_program_.get();
  events->link_fd_ = events->opened_link_.get();
  if (const auto mapped = events->Map(records->get(), counters->get()); !mapped) return mapped.error();
  return events;
}

Status PinEvents(const std::string& directory, std::uint64_t capacity_events) {
  if (const auto unpinned = UnpinEvents(directory); !unpinned) return unpinned;
  auto events = AttachedEvents::Load(capacity_events);
  if (!events) return events.error();
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return Error::FromErrno("cannot make " + directory, errno);
  if (const auto checked = CheckFileSystem(directory); !checked) return checked;
  bpf_object* object = (*events)->object_.get();
  const std::array<int, kPins.size()> descriptors{bpf_object__find_map_fd_by_name(object, "records"),
                                                  bpf_object__find_map_fd_by_name(object, ".data.counters"),
                                                  (*events)->program_fd_, (*events)->link_fd_};
  // Without the group, only root reads them.
  const group* readers = getgrnam(kReaders);
  const gid_t gid = readers != nullptr ? readers->gr_gid : 0;
  for (std::size_t i = 0; i < kPins.size(); ++i) {
    const std::string path = directory + "/" + kPins[i];
    if (bpf_obj_pin(descriptors[i], path.c_str()) != 0) return Error::FromErrno("cannot pin " + path, errno);
    if (const auto allowed = Allow(path, 0660, gid); !allowed) return allowed;
  }
  return Allow(directory, 0750, gid);
}

Status UnpinEvents(const std::string& directory) {
  for (auto pin = kPins.rbegin(); pin != kPins.rend(); ++pin) {
    const std::string path = directory + "/" + *pin;
    if (unlink(path.c_str()) != 0 && errno != ENOENT && errno != ENOTDIR) {
      return Error::FromErrno("cannot remove " + path, errno);
    }
  }
  if (rmdir(directory.c_str()) != 0 && errno != ENOENT) return Error::FromErrno("cannot remove " + directory, errno);
  return Ok();
}

}  // namespace conntally
