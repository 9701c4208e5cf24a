#include "daemon/process/build_info.h"

#include "test/support/catch.h"

TEST_CASE("the version text says version, revision and compiler") {
  const auto build = conntally::GetBuildInfo();
  CHECK_FALSE(build.version.empty());
  CHECK_FALSE(build.revision.empty());
  CHECK_FALSE(build.compiler.empty());
  const std::string first_line =
      "conntally, version " + std::string(build.version) + " (revision " + std::string(build.revision) + ")\n";
  CHECK(conntally::VersionText().starts_with(first_line));
}
