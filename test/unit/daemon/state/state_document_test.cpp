#include "daemon/state/state_document.h"

#include "test/support/catch.h"

using namespace conntally;
using namespace std::chrono_literals;
using Json = nlohmann::json;

namespace {

const StateOrigin kHere = {"boot", "/run/netns/a", 4, 77};
const StateTime kNow{1'800'000'000s};

std::string Saved(const StateOrigin& origin = kHere) {
  const auto text = ComposeState({.alerts = {{"a", 1}}, .judge = {{"b", 2}}}, origin, kNow);
  REQUIRE(text);
  return *text;
}

std::string FaultOf(const std::string& text, StateTime now = kNow) {
  const auto state = ParseState(text, kHere, now);
  return state ? "" : state.error().message;
}

}  // namespace

TEST_CASE("what was saved is read again, with its age") {
  const auto state = ParseState(Saved(), kHere, kNow + 90s);
  REQUIRE(state);
  CHECK(state->alerts == Json({{"a", 1}}));
  CHECK(state->judge == Json({{"b", 2}}));
  CHECK(state->age == 90s);
  CHECK(state->continues);
}

TEST_CASE("after a boot the counters do not go on, and the namespace is known by its path") {
  StateOrigin before = kHere;
  before.boot_id = "another";
  before.namespace_inode = 78;
  const auto state = ParseState(Saved(before), kHere, kNow);
  REQUIRE(state);
  CHECK_FALSE(state->continues);
  before.namespace_path = "";
  CHECK(FaultOf(Saved(before)) == "it is of another network namespace");
}

TEST_CASE("within a boot a namespace is known by its number, whatever the path") {
  StateOrigin renamed = kHere;
  renamed.namespace_path = "/proc/7/ns/net";
  CHECK(FaultOf(Saved(renamed)).empty());
  StateOrigin another = kHere;
  another.namespace_inode = 78;
  CHECK(FaultOf(Saved(another)) == "it is of another network namespace");
}

TEST_CASE("a clock that was set back makes a state of this moment, and an old one is refused") {
  const auto state = ParseState(Saved(), kHere, kNow - 1000h);
  REQUIRE(state);
  CHECK(state->age == 0s);
  CHECK(FaultOf(Saved(), kNow + 24h * 8) == "it is 8 days old");
}

TEST_CASE("what is no state is refused, with the reason") {
  for (const char* text : {"", "{", "[]", "7", "\0\0\0\0", "{\"conntally_state\": 1} x"})
    CHECK(FaultOf(text) == "it is no JSON object");
  CHECK(FaultOf("{}") == "it is not of version 1 of conntally's state");
  CHECK(FaultOf("{\"conntally_state\": 2}") == "it is not of version 1 of conntally's state");
  CHECK(FaultOf("{\"conntally_state\": \"1\"}") == "it is not of version 1 of conntally's state");
  CHECK(FaultOf("{\"a\": " + std::string(100'000, '[') + std::string(100'000, ']') + "}") == "it is nested too deeply");
}

TEST_CASE("a state that is too long is not composed") {
  const auto text =
      ComposeState({.alerts = Json::object(), .judge = {{"text", std::string(kStateBytesMax, 'x')}}}, kHere, kNow);
  REQUIRE_FALSE(text);
  CHECK(text.error().code == EFBIG);
}

TEST_CASE("this origin has a boot and a namespace") {
  const StateOrigin origin = ThisOrigin("");
  CHECK(origin.boot_id.size() == 36);
  CHECK(origin.namespace_inode != 0);
  CHECK(ThisOrigin("/nowhere").namespace_inode == 0);
}
