# At installation: writes to the folder `units_to` the units of `units_from`, with the places that this prefix gives. What is staged by DESTDIR will be at
# the prefix itself in the end, so DESTDIR is in none of them.
set(prefix "${CMAKE_INSTALL_PREFIX}")
cmake_path(ABSOLUTE_PATH prefix NORMALIZE)
foreach(directory bindir docdir)
  cmake_path(ABSOLUTE_PATH ${directory} BASE_DIRECTORY "${prefix}" NORMALIZE)
endforeach()
set(program "${bindir}/conntally")
string(REPLACE "%" "%%" program "${program}")
if(program MATCHES "[ \t]")
  set(program "\"${program}\"")
endif()
string(REPLACE " " "%%20" documentation "file://${docdir}/README.md")

foreach(name conntally.service conntally-bpf.service)
  file(READ "${units_from}/${name}" unit)
  # Of ExecStart, ExecStop and what comes after it.
  string(REPLACE "=/usr/bin/conntally " "=${program} " unit "${unit}")
  string(REPLACE "file:///usr/share/doc/conntally/README.md" "${documentation}" unit "${unit}")
  file(WRITE "${units_to}/${name}" "${unit}")
endforeach()

if(NOT prefix MATCHES "^(/|/usr(/local)?/*)$")
  message(STATUS "systemd does not look below ${prefix}: enable the unit by its path there, with systemctl enable, and link "
                 "lib/sysctl.d/30-conntally.conf into /etc/sysctl.d and lib/modules-load.d/conntally.conf into /etc/modules-load.d")
endif()
