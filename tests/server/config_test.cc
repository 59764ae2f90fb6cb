// SPDX-License-Identifier: Apache-2.0
//
// Configuration: which level wins, what is refused and how, and that what is printed can be read
// again. Everything goes through ParseConfig, as main does it.
#include "server/config.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/settings.h"

namespace faultline::server {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Arguments = std::vector<std::string>;

/// A file that is gone afterwards.
class File {
 public:
  explicit File(const std::string& text) {
    std::string name = ::testing::TempDir() + "faultlined_config_XXXXXX";
    close(mkstemp(name.data()));
    path_ = std::move(name);
    std::ofstream(path_) << text;
  }
  ~File() { static_cast<void>(std::remove(path_.c_str())); }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string flag() const { return "--config=" + path_; }

 private:
  std::string path_;
};

std::variant<ParsedConfig, ExitCode> Parse(const Arguments& arguments,
                                           const Environment& environment = {}) {
  std::vector<const char*> argv = {"faultlined"};
  for (const std::string& argument : arguments) argv.push_back(argument.c_str());
  return ParseConfig(static_cast<int>(argv.size()), argv.data(), environment);
}

ParsedConfig MustParse(const Arguments& arguments, const Environment& environment = {}) {
  auto parsed = Parse(arguments, environment);
  EXPECT_TRUE(std::holds_alternative<ParsedConfig>(parsed));
  return std::get<ParsedConfig>(std::move(parsed));
}

/// What is printed when it is refused; which it must be, with the code for wrong usage.
std::string Refusal(const Arguments& arguments, const Environment& environment = {}) {
  ::testing::internal::CaptureStderr();
  const auto parsed = Parse(arguments, environment);
  std::string text = ::testing::internal::GetCapturedStderr();
  const auto* const code = std::get_if<ExitCode>(&parsed);
  EXPECT_TRUE(code != nullptr && *code == ExitCode::kUsage) << text;
  return text;
}

// -- Levels ---------------------------------------------------------------------------------------

TEST(ConfigTest, WithoutAnythingEachSettingIsTheDefault) {
  const ParsedConfig parsed = MustParse({});
  EXPECT_EQ(parsed.mode, RunMode::kServe);
  EXPECT_EQ(parsed.config.limits, Limits{});
  EXPECT_EQ(parsed.config.listen.at(0).Text(), "127.0.0.1:50051");
  EXPECT_EQ(parsed.config.metrics.at(0).Text(), "127.0.0.1:9464");
  for (const auto& [name, source] : parsed.sources) EXPECT_EQ(source, "default") << name;
}

TEST(ConfigTest, FlagBeatsEnvironmentBeatsFileBeatsDefault) {
  const File file("drain-seconds = 1\nmax-mms = 11\nmax-cpus = 21\n");
  const Environment environment = {{"FAULTLINED_DRAIN_SECONDS", "2"}, {"FAULTLINED_MAX_MMS", "12"}};
  const ParsedConfig parsed = MustParse({file.flag(), "--drain-seconds=3"}, environment);
  EXPECT_EQ(parsed.config.drain_seconds, 3);
  EXPECT_EQ(parsed.config.limits.max_mms, 12);
  EXPECT_EQ(parsed.config.limits.max_cpus, 21);
  EXPECT_EQ(parsed.config.limits.max_files, Limits{}.max_files);
  EXPECT_EQ(parsed.sources.at("drain-seconds"), "flag");
  EXPECT_EQ(parsed.sources.at("max-mms"), "environment FAULTLINED_MAX_MMS");
  EXPECT_EQ(parsed.sources.at("max-cpus"), "file " + file.path());
  EXPECT_EQ(parsed.sources.at("max-files"), "default");
}

TEST(ConfigTest, ListsReplaceThoseOfLowerLevelsAsAWhole) {
  const File file("listen = [\"127.0.0.1:1\", \"127.0.0.1:2\"]\n");
  EXPECT_EQ(MustParse({file.flag()}).config.listen.size(), 2);
  const Environment environment = {{"FAULTLINED_LISTEN", "127.0.0.1:3,unix:/s"}};
  const ParsedConfig by_variable = MustParse({file.flag()}, environment);
  ASSERT_EQ(by_variable.config.listen.size(), 2);
  EXPECT_EQ(by_variable.config.listen[0].port, 3);
  EXPECT_EQ(by_variable.config.listen[1].path, "/s");
  const ParsedConfig by_flag = MustParse({"--listen", "127.0.0.1:4"}, environment);
  ASSERT_EQ(by_flag.config.listen.size(), 1);
  EXPECT_EQ(by_flag.config.listen[0].port, 4);
}

TEST(ConfigTest, SwitchCanBeTurnedOffAgainByAHigherLevel) {
  const Environment environment = {{"FAULTLINED_INSECURE", "true"}};
  EXPECT_TRUE(MustParse({}, environment).config.insecure);
  EXPECT_FALSE(MustParse({"--insecure=false"}, environment).config.insecure);
}

TEST(ConfigTest, FileCanBeNamedByTheEnvironmentAndAFlagNamesAnother) {
  const File one("max-mms = 1\n");
  const File two("max-mms = 2\n");
  const Environment environment = {{"FAULTLINED_CONFIG", one.path()}};
  EXPECT_EQ(MustParse({}, environment).config.limits.max_mms, 1);
  EXPECT_EQ(MustParse({two.flag()}, environment).config.limits.max_mms, 2);
}

TEST(ConfigTest, EmptyMetricsTurnThePortOffOnEachLevel) {
  const File file("metrics = \"\"\n");
  EXPECT_THAT(MustParse({"--metrics="}).config.metrics, IsEmpty());
  EXPECT_THAT(MustParse({"--metrics=", "--insecure"}).config.metrics, IsEmpty());
  EXPECT_THAT(MustParse({}, {{"FAULTLINED_METRICS", ""}}).config.metrics, IsEmpty());
  EXPECT_THAT(MustParse({file.flag()}).config.metrics, IsEmpty());
}

TEST(ConfigTest, EverySettingCanBeSetOnEveryLevel) {
  const ParsedConfig defaults = MustParse({});
  for (const Setting& setting : AllSettings()) {
    const SettingValues values = setting.get(defaults.config);
    ASSERT_EQ(values.size(), 1) << setting.name;
    const std::string& value = values[0];
    const File file(setting.name + " = \"" + value + "\"\n");
    EXPECT_EQ(MustParse({"--" + setting.name + "=" + value}).sources.at(setting.name), "flag");
    EXPECT_EQ(MustParse({}, {{setting.Variable(), value}}).sources.at(setting.name),
              "environment " + setting.Variable());
    EXPECT_EQ(MustParse({file.flag()}).sources.at(setting.name), "file " + file.path());
  }
}

TEST(ConfigTest, WhatIsPrintedIsAFileWithTheSameMeaning) {
  const ParsedConfig first =
      MustParse({"--listen=unix:/run/x.sock", "--listen=[::1]:7", "--metrics=", "--log-format=json",
                 "--insecure", "--max-mms=5", "--print-config"});
  EXPECT_EQ(first.mode, RunMode::kPrintConfig);
  const std::string text = DescribeConfig(first);
  EXPECT_THAT(text, AllOf(HasSubstr("listen = [\"unix:/run/x.sock\", \"[::1]:7\"]"),
                          ::testing::ContainsRegex("max-mms = 5 +# flag\n"),
                          ::testing::ContainsRegex("max-cpus = [0-9]+ +# default\n")));
  const File file(text);
  const ParsedConfig second = MustParse({file.flag()});
  for (const Setting& setting : AllSettings()) {
    EXPECT_EQ(setting.get(second.config), setting.get(first.config)) << setting.name;
  }
}

TEST(ConfigTest, VariablesThatAreNoSettingsAreWarnedOf) {
  const ParsedConfig parsed =
      MustParse({}, {{"FAULTLINED_MAX_MACHINE", "3"}, {"HOME", "/"}, {"FAULTLINED_MAX_MMS", "3"}});
  EXPECT_THAT(parsed.warnings, ElementsAre(HasSubstr("FAULTLINED_MAX_MACHINE is no setting")));
}

// -- Refusals -------------------------------------------------------------------------------------

TEST(ConfigTest, BadValueIsNamedWithItsSettingAndWhatIsAllowedOnEachLevel) {
  const auto range = HasSubstr("'x' is not allowed, only whole numbers from 0 to 86400");
  const File file("drain-seconds = x\n");
  EXPECT_THAT(Refusal({"--drain-seconds=x"}), AllOf(HasSubstr("--drain-seconds: "), range));
  EXPECT_THAT(Refusal({}, {{"FAULTLINED_DRAIN_SECONDS", "x"}}),
              AllOf(HasSubstr("environment FAULTLINED_DRAIN_SECONDS: "), range));
  EXPECT_THAT(Refusal({file.flag()}),
              AllOf(HasSubstr("file " + file.path() + ": drain-seconds: "), range));
}

TEST(ConfigTest, BadValueIsRefusedEvenIfAHigherLevelOverridesIt) {
  EXPECT_THAT(Refusal({"--drain-seconds=1"}, {{"FAULTLINED_DRAIN_SECONDS", "x"}}),
              HasSubstr("FAULTLINED_DRAIN_SECONDS"));
}

TEST(ConfigTest, NumbersOutOfRangeOrNotNumbersAreRefused) {
  for (const char* value : {"-1", "0", "1.5", "", " 1", "0x10", "18446744073709551616", "1e3"}) {
    EXPECT_THAT(Refusal({std::string("--max-mms=") + value}),
                AllOf(HasSubstr("--max-mms"), HasSubstr("'" + std::string(value) + "'"),
                      HasSubstr("from 1 to 1000000")))
        << value;
  }
}

TEST(ConfigTest, AddressesOfOtherHostsNeedInsecure) {
  for (const char* flag : {"--listen=0.0.0.0:1", "--listen=[::]:1", "--listen=10.0.0.1:1",
                           "--metrics=0.0.0.0:1", "--listen=[::ffff:10.0.0.1]:1"}) {
    EXPECT_THAT(Refusal({flag}),
                AllOf(HasSubstr("can be reached from other hosts"), HasSubstr("or --insecure")))
        << flag;
    MustParse({flag, "--insecure"});
  }
  for (const char* flag : {"--listen=127.9.9.9:1", "--listen=[::1]:1", "--listen=localhost:1",
                           "--listen=unix:/s", "--metrics=[::1]:1"}) {
    MustParse({flag});
  }
}

TEST(ConfigTest, WhatIsNoAddressIsRefused) {
  for (const char* value :
       {"", "50051", "example.org:1", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
        "127.0.0.1:-1", "::1:5", "[127.0.0.1]:5", "unix:", "127.1:5", "[::1]", "dns:///x"}) {
    EXPECT_THAT(Refusal({std::string("--listen=") + value}),
                AllOf(HasSubstr("--listen: '" + std::string(value) + "'")))
        << value;
  }
  EXPECT_THAT(Refusal({"--listen=unix:/" + std::string(108, 'x')}), HasSubstr("1 to 107 bytes"));
  EXPECT_THAT(Refusal({"--metrics=unix:/s"}), HasSubstr("only HOST:PORT"));
  EXPECT_THAT(Refusal({"--listen=unix:/s", "--listen=unix:/s"}), HasSubstr("is there twice"));
}

TEST(ConfigTest, ChoicesListTheirWords) {
  EXPECT_THAT(Refusal({"--log-format=xml"}), HasSubstr("'xml' is not allowed, only text, json"));
  EXPECT_THAT(Refusal({"--log-level=loud"}), HasSubstr("only debug, info, warning, error"));
  EXPECT_THAT(Refusal({"--insecure=maybe"}), HasSubstr("only true, false, 1, 0"));
}

TEST(ConfigTest, LimitsThatContradictEachOtherAreRefused) {
  EXPECT_THAT(Refusal({"--max-memory-bytes=65536"}), HasSubstr("at most max_memory_bytes"));
}

TEST(ConfigTest, UnknownFlagsAndKeysSectionsAndDoublesAreRefused) {
  EXPECT_THAT(Refusal({"--max-machine=3"}), HasSubstr("--max-machine=3"));
  EXPECT_THAT(Refusal({"extra"}), HasSubstr("extra"));
  EXPECT_THAT(Refusal({"--max-mms=3", "--max-mms=3"}), HasSubstr("--max-mms"));
  EXPECT_THAT(Refusal({"--max-mms"}), HasSubstr("--max-mms"));
  const File unknown("max-machine = 3\n");
  EXPECT_THAT(Refusal({unknown.flag()}), HasSubstr("'max-machine' is unknown"));
  const File section("[limits]\nmax-mms = 3\n");
  EXPECT_THAT(Refusal({section.flag()}), HasSubstr("there are no sections"));
  const File twice("max-mms = 3\nmax-cpus = 3\nmax-mms = 4\n");
  EXPECT_THAT(Refusal({twice.flag()}), HasSubstr("max-mms: is there twice"));
  const File two("max-mms = [3, 4]\n");
  EXPECT_THAT(Refusal({two.flag()}), HasSubstr("takes one value, not 2"));
}

TEST(ConfigTest, FileThatCannotBeReadIsRefused) {
  EXPECT_THAT(Refusal({"--config=/nonexistent/file"}),
              HasSubstr("file /nonexistent/file: cannot be opened"));
  EXPECT_THAT(Refusal({"--config=/"}), HasSubstr("file /: cannot be read"));
}

TEST(ConfigTest, PrintingAndProbingAtOnceIsRefused) {
  EXPECT_THAT(Refusal({"--print-config", "--health-check"}), HasSubstr("cannot be combined"));
  EXPECT_EQ(MustParse({"--health-check"}).mode, RunMode::kHealthCheck);
}

}  // namespace
}  // namespace faultline::server
