# SPDX-License-Identifier: Apache-2.0
"""Proves that each check can fail and can pass, on samples in a temporary directory."""

import json
import os
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SPDX = "// SPDX-License-Identifier: Apache-2.0\n"


class Sample(unittest.TestCase):
    """A test with a small tree of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)

    def write(self, path, text, mode=0o644):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    def check(self, script):
        run = subprocess.run([HERE / script, "--root", self.root], capture_output=True, text=True, check=False)
        return run.returncode, run.stdout + run.stderr

    def assert_accepted(self, script):
        status, output = self.check(script)
        self.assertEqual((status, output), (0, ""))

    def assert_refused(self, script, *expected):
        status, output = self.check(script)
        self.assertNotEqual(status, 0)
        for text in expected:
            self.assertIn(text, output)


class FormatTest(Sample):
    def setUp(self):
        super().setUp()
        shutil.copy(ROOT / ".clang-format", self.root)

    def test_refuses_crooked_code(self):
        self.write("core/base/a.cc", "int  F( ){return 1;}\n")
        self.assert_refused("format", "core/base/a.cc:1")

    def test_accepts_the_opening_and_end_of_a_core_file(self):
        self.write("core/base/a.h", "namespace faultline::inline FAULTLINE_FLAVOUR {\n\nint F();\n\n}  // namespace faultline\n")
        self.assert_accepted("format")


class IncludeDirectionTest(Sample):
    def refuses(self, path, target, why):
        self.write(path, f'#include "{target}"\n')
        self.assert_refused("include_direction", f"{path}:1:", why)

    def test_refuses_an_upward_include(self):
        self.refuses("core/base/a.h", "core/sync/sync.h", "core/base lies not above core/sync")

    def test_refuses_a_neighbour_of_the_same_layer(self):
        self.refuses("core/swap/a.h", "core/pagecache/mapping.h", "lies not above")

    def test_refuses_proto_in_core(self):
        self.refuses("core/mm/a.cc", "proto/columns/pack.h", "core does not know proto")

    def test_refuses_generated_headers_and_grpc_in_core(self):
        self.refuses("core/mm/a.cc", "faultline/v1/memory.pb.h", "core does not know proto")
        for target in ("faultline/v1/memory.grpc.pb.h", "grpcpp/grpcpp.h", "google/protobuf/message.h"):
            with self.subTest(target):
                self.write("core/mm/a.cc", f"// One line.\n#include <{target}>\n")
                self.assert_refused("include_direction", "core/mm/a.cc:2:", "core does not know proto")

    def test_refuses_a_library_of_core_that_links_proto(self):
        self.write("core/mm/CMakeLists.txt", "faultline_core_library(mm\n  LIBS faultline_proto)\n")
        self.assert_refused("include_direction", "core/mm/CMakeLists.txt:2: links faultline_proto")

    def test_accepts_generated_headers_in_server_client_and_tests(self):
        for path in ("server/a.cc", "client/a.cc", "tests/proto/a.cc"):
            self.write(path, '#include <grpcpp/grpcpp.h>\n\n#include "faultline/v1/memory.grpc.pb.h"\n')
        self.assert_accepted("include_direction")

    def test_refuses_core_in_client(self):
        self.refuses("client/a.cc", "core/base/errno.h", "client does not know core")

    def test_refuses_tests_in_core(self):
        self.refuses("core/mm/a.cc", "tests/testing/builders.h", "nothing outside tests includes tests")

    def test_refuses_a_folder_without_a_layer(self):
        self.refuses("core/novel/a.cc", "core/base/errno.h", "no place in LAYERS")

    def test_accepts_downward_includes_and_comments(self):
        self.write("core/sync/a.cc", '#include "core/base/errno.h"\n#include "core/sync/sync.h"\n// #include "core/mm/mm.h"\n')
        self.write("server/a.cc", '#include "core/mm/mm.h"\n#include "proto/columns/pack.h"\n')
        self.write("tests/a.cc", '#include "core/mm/mm.h"\n#include "tests/testing/builders.h"\n')
        self.assert_accepted("include_direction")


class NoRawSyncTest(Sample):
    def test_refuses_each_way_around_sync(self):
        for line in ("#include <atomic>", "std::atomic<int> a;", "std::mutex m;", "std::thread t;", "thread_local int i;",
                     "std::condition_variable c;", "pthread_mutex_lock(&m);", "#include <urcu/urcu-memb.h>",
                     "std::memory_order_relaxed", "volatile int v;"):
            with self.subTest(line):
                self.write("core/mm/a.cc", line + "\n")
                self.assert_refused("no_raw_sync", "core/mm/a.cc:1:")

    def test_accepts_them_in_sync_in_tests_and_in_prose(self):
        self.write("core/sync/a.cc", "std::atomic<int> a;\n")
        self.write("tests/core/mm/a_test.cc", "std::thread t;\n")
        self.write("core/mm/a.cc", '// Unlike std::mutex\n/* std::thread\n */ const char* s = "std::atomic";\n')
        self.assert_accepted("no_raw_sync")

    def test_accepts_an_exception_only_with_a_reason(self):
        self.write("core/mm/a.cc", "std::atomic<int> a;  // lint-allow(no_raw_sync): measured by the host\n")
        self.assert_accepted("no_raw_sync")
        self.write("core/mm/a.cc", "std::atomic<int> a;  // lint-allow(no_raw_sync):\n")
        self.assert_refused("no_raw_sync", "core/mm/a.cc:1:")


class CoreStaysPureTest(Sample):
    def test_refuses_services_clocks_and_randomness(self):
        for line in ("#include <grpcpp/grpcpp.h>", "#include <spdlog/spdlog.h>", '#include "faultline/v1/memory.pb.h"',
                     "#include <chrono>", "auto t = std::chrono::steady_clock::now();", "clock_gettime(0, &t);",
                     "std::random_device d;"):
            with self.subTest(line):
                self.write("core/mm/a.cc", line + "\n")
                self.assert_refused("core_stays_pure", "core/mm/a.cc:1:")

    def test_accepts_a_clock_where_time_enters_but_no_service(self):
        self.write("core/env/a.cc", "#include <chrono>\n")
        self.assert_accepted("core_stays_pure")
        self.write("core/env/a.cc", "#include <grpcpp/grpcpp.h>\n")
        self.assert_refused("core_stays_pure", "core/env/a.cc:1:")


class FileOpeningTest(Sample):
    GOOD = SPDX + "//\n// What it is.\n\n#pragma once\n\nnamespace faultline::inline FAULTLINE_FLAVOUR {\n}  // namespace faultline\n"

    def test_accepts_an_agreed_opening(self):
        self.write("core/base/a.h", self.GOOD)
        self.assert_accepted("file_opening")

    def test_refuses_a_file_without_licence(self):
        self.write("core/base/a.h", self.GOOD.replace(SPDX, "// Mine.\n"))
        self.assert_refused("file_opening", "the first line is not")

    def test_refuses_a_file_that_does_not_say_what_it_is(self):
        self.write("core/base/a.h", self.GOOD.replace("//\n// What it is.\n", ""))
        self.assert_refused("file_opening", "no comment says")

    def test_refuses_a_header_without_pragma_once(self):
        self.write("core/base/a.h", self.GOOD.replace("#pragma once", ""))
        self.assert_refused("file_opening", "#pragma once")

    def test_refuses_core_outside_the_flavour(self):
        self.write("core/base/a.h", self.GOOD.replace("::inline FAULTLINE_FLAVOUR", ""))
        self.assert_refused("file_opening", "core opens its namespace as")


class HeadersCompileAloneTest(Sample):
    def test_refuses_a_header_that_needs_another(self):
        self.write("core/base/a.h", "#pragma once\ninline std::string F();\n")
        self.assert_refused("headers_compile_alone", "core/base/a.h:1:", "(native)", "(modelled)")

    def test_refuses_a_header_that_breaks_in_one_flavour(self):
        self.write("core/base/a.h", "#pragma once\n#ifdef FAULTLINE_MODELLED\n#error here\n#endif\n")
        self.assert_refused("headers_compile_alone", "(modelled)")

    def test_accepts_headers_of_one_flavour_in_their_own(self):
        self.write("core/sync/native/a.h", "#pragma once\n#ifdef FAULTLINE_MODELLED\n#error here\n#endif\n")
        self.write("core/sync/modelled/a.h", "#pragma once\n#ifndef FAULTLINE_MODELLED\n#error here\n#endif\n")
        self.assert_accepted("headers_compile_alone")


class SourcesListedTest(Sample):
    def test_refuses_a_source_that_no_list_names(self):
        self.write("core/base/CMakeLists.txt", "faultline_core_library(base SOURCES another_a.cc)\n")
        self.write("core/base/a.cc", "")
        self.assert_refused("sources_listed", "core/base/a.cc:1:")

    def test_refuses_a_name_in_the_list_of_another_folder(self):
        self.write("core/sync/CMakeLists.txt", "faultline_core_library(sync SOURCES a.cc)\n")
        self.write("core/sync/a.cc", "")
        self.write("core/base/a.cc", "")
        self.assert_refused("sources_listed", "core/base/a.cc:1:")

    def test_accepts_listed_sources(self):
        self.write("core/sync/CMakeLists.txt", "faultline_core_library(sync\n  SOURCES\n    a.cc\n    native/b.cc)\n")
        self.write("core/sync/a.cc", "")
        self.write("core/sync/native/b.cc", "")
        self.assert_accepted("sources_listed")


class ScriptsTest(Sample):
    HEAD = "#!/bin/bash\n# SPDX-License-Identifier: Apache-2.0\n"

    def test_refuses_what_shellcheck_refuses(self):
        self.write("tool", self.HEAD + "rm $1\n", 0o755)
        self.assert_refused("scripts", "tool:1:", "SC2086")

    def test_refuses_a_script_that_cannot_be_executed(self):
        self.write("tool", self.HEAD)
        self.assert_refused("scripts", "may not be executed")

    def test_refuses_a_script_without_licence(self):
        self.write("tool", "#!/usr/bin/python3\nprint()\n", 0o755)
        self.assert_refused("scripts", "the licence is missing")

    def test_accepts_a_clean_script(self):
        self.write("tool", self.HEAD + 'rm "$1"\n', 0o755)
        self.assert_accepted("scripts")


class DocsStandAloneTest(Sample):
    def test_refuses_a_path_of_one_machine(self):
        self.write("README.md", "Look into /home/me/faultline.\n")
        self.assert_refused("docs_stand_alone", "README.md:1:", "/home/me")

    def test_refuses_a_dead_link(self):
        self.write("docs/a.md", "[b](b.md)\n")
        self.assert_refused("docs_stand_alone", "docs/a.md:1:", "leads nowhere")

    def test_accepts_links_to_files_sections_and_sites(self):
        self.write("README.md", "")
        self.write("docs/a.md", "[b](../README.md) [c](#here) [d](https://www.kernel.org) /proc/self/maps\n")
        self.assert_accepted("docs_stand_alone")


class DocsAreCompiledTest(Sample):
    DOC = "# A\n\n`core/base/a.h`:\n\n```cpp\nint F();\nint G();\n```\n"

    def test_refuses_code_that_is_not_the_file(self):
        self.write("docs/a.md", self.DOC)
        self.write("tests/sample/core/base/a.h", "int F();\nint H();\n")
        self.assert_refused("docs_are_compiled", "docs/a.md:7: differs from tests/sample/core/base/a.h:2")

    def test_refuses_code_that_is_only_the_beginning_of_the_file(self):
        self.write("docs/a.md", self.DOC)
        self.write("core/base/a.h", "int F();\nint G();\nint H();\n")
        self.assert_refused("docs_are_compiled", "docs/a.md:8: differs from core/base/a.h:3")

    def test_refuses_code_of_a_file_that_is_not_there(self):
        self.write("docs/a.md", self.DOC)
        self.write("other/core/base/a.h", "int F();\nint G();\n")
        self.assert_refused("docs_are_compiled", "docs/a.md:6: there is no file core/base/a.h")

    def test_refuses_code_without_the_name_of_a_file(self):
        self.write("docs/a.md", "Some code:\n\n```cpp\nint F();\n```\n")
        self.assert_refused("docs_are_compiled", "docs/a.md:4: no line before this C++ names its file")

    def test_accepts_a_sample_that_a_test_has(self):
        self.write("docs/a.md", self.DOC)
        self.write("tests/sample/core/base/a.h", "int F();\nint G();\n")
        self.assert_accepted("docs_are_compiled")


class ProtoTest(Sample):
    GOOD = SPDX + """// What it is.
syntax = "proto3";

package faultline.v1;

// Asks.
message GetRequest {}

// Answers.
message GetResponse {
  // The server's instance.
  fixed64 instance_epoch = 1;
  // Numbers.
  repeated uint32 numbers = 2;
}

// Does it.
service ThingService {
  // Does it.
  rpc Get(GetRequest) returns (GetResponse);
}
"""

    def setUp(self):
        super().setUp()
        (self.root / "proto").mkdir()
        shutil.copy(ROOT / "proto/buf.yaml", self.root / "proto")

    def refuses(self, good, bad, *expected):
        self.assertIn(good, self.GOOD)
        self.write("proto/faultline/v1/thing.proto", self.GOOD.replace(good, bad))
        self.assert_refused("proto", "proto/faultline/v1/thing.proto:", *expected)

    def test_accepts_a_good_file_and_says_that_nothing_was_released(self):
        self.write("proto/faultline/v1/thing.proto", self.GOOD)
        status, output = self.check("proto")
        self.assertEqual((status, output.count("\n")), (0, 1))
        self.assertIn("no release yet", output)

    def test_refuses_what_buf_refuses(self):
        self.refuses("rpc Get(GetRequest)", "rpc Fetch(GetRequest)", "FetchRequest")

    def test_refuses_a_field_without_a_comment(self):
        self.refuses("  // Numbers.\n", "", ":14:", "comment")

    def test_refuses_an_enum_value_without_a_comment(self):
        self.refuses("// Does it.\nservice", "// Kinds.\nenum Kind {\n  KIND_UNSPECIFIED = 0;\n}\n\n// Does it.\nservice",
                     "comment")

    def test_refuses_a_reply_without_the_epoch(self):
        self.refuses("fixed64 instance_epoch = 1", "uint64 instance_epoch = 1", "GetResponse", "instance_epoch")

    def test_refuses_a_column_that_is_not_packed(self):
        self.refuses("numbers = 2;", "numbers = 2 [packed = false];", "GetResponse.numbers is not packed")

    def test_refuses_a_file_without_licence_and_a_long_line(self):
        self.refuses(SPDX, "// Mine.\n", ":1: the first line is not")
        self.refuses("// Answers.", "// Answers" + "." * 100, ":10: 110 columns")

    def test_refuses_syntax_that_protoc_refuses(self):
        self.refuses("message GetRequest {}", "message GetRequest {", "unmatched")

    def test_refuses_a_download_host_in_the_lock(self):
        self.write("proto/faultline/v1/thing.proto", self.GOOD)
        self.write("proto/package-lock.json", '{\n  "resolved": "https://example.org/buf.tgz"\n}\n')
        self.assert_refused("proto", "proto/package-lock.json:2:")

    def test_refuses_what_breaks_a_release(self):
        self.write("proto/faultline/v1/thing.proto", self.GOOD)
        subprocess.run([ROOT / "build/npm/node_modules/.bin/buf", "build", "proto", "-o", "proto/released.binpb"],
                       cwd=self.root, check=True)
        self.assert_accepted("proto")
        self.refuses("uint32 numbers", "uint64 numbers", "numbers")


class SizesTest(Sample):
    def test_reports_a_long_function_and_does_not_fail(self):
        body = "  F();\n" * 80
        self.write("core/mm/a.h", f"template <class T>\nclass Wide {{\n{body}}};\n")
        self.write("core/mm/a.cc", f"int Short() {{\n  return 1;\n}}\n\nint Long(int first,\n         int second) {{\n{body}}}\n")
        status, output = self.check("sizes")
        self.assertEqual(status, 0)
        self.assertIn("core/mm/a.cc:5: 83 lines (hard stop 70): int Long(int first,", output)
        self.assertNotIn("Short", output)
        self.assertNotIn("a.h", output)


class TidyTest(Sample):
    """The list of clean sources, in a copy of what the script needs."""

    def setUp(self):
        super().setUp()
        for name in ("tidy", "lint.py"):
            (self.root / "tests/lint").mkdir(parents=True, exist_ok=True)
            shutil.copy(HERE / name, self.root / "tests/lint")
        self.write(".clang-tidy", "Checks: '-*,bugprone-sizeof-expression'\nWarningsAsErrors: '*'\n")
        self.write("core/base/a.h", "inline int Size(char* p) { return int(sizeof(*p)); }\n")
        self.write("core/base/a.cc", '#include "core/base/a.h"\nint main() {}\n')
        self.compile("core/base/a.cc")

    def compile(self, *names):
        sources = [str(self.root / name) for name in names]
        self.write("build/tsa/compile_commands.json", json.dumps([{
            "directory": str(self.root), "file": source,
            "command": f"clang++-19 -std=c++20 -I{self.root} -fsyntax-only {source} && touch a.o"} for source in sources]))

    def tidy(self, *arguments):
        run = subprocess.run([self.root / "tests/lint/tidy", *arguments], capture_output=True, text=True, check=False)
        return run.returncode, run.stdout + run.stderr

    def break_header(self):
        self.write("core/base/a.h", "inline int Size(char* p) { return int(sizeof(p + 1) + sizeof(sizeof(p))); }\n")
        self.write(".clang-tidy", "Checks: '-*,bugprone-sizeof-expression'\nWarningsAsErrors: '*'\nHeaderFilterRegex: '.*'\n")

    def test_looks_at_a_clean_source_once(self):
        self.assertEqual(self.tidy("--record"), (0, "1 of 1 sources to look at\n"))
        self.assertEqual(self.tidy(), (0, "0 of 1 sources to look at\n"))

    def test_trusts_the_committed_list_alone(self):
        self.tidy("--record")
        (self.root / "build/tidy_clean.txt").unlink()
        self.assertEqual(self.tidy(), (0, "0 of 1 sources to look at\n"))

    def test_refuses_a_finding_in_a_header_that_changed(self):
        self.tidy("--record")
        self.break_header()
        status, output = self.tidy("--record")
        self.assertEqual(status, 1)
        self.assertIn("bugprone-sizeof-expression", output)
        self.assertEqual(self.tidy()[0], 1)

    def test_looks_only_where_it_is_told_to(self):
        self.write("server/b.cc", "int main() {}\n")
        self.compile("core/base/a.cc", "server/b.cc")
        self.assertEqual(self.tidy("--record", "server/"), (0, "1 of 2 sources to look at\n"))
        self.assertEqual(self.tidy(), (0, "1 of 2 sources to look at\n"))

    def test_keeps_what_was_found_clean_by_a_run_that_was_interrupted(self):
        self.write("server/b.cc", "int main() {}\n")
        self.compile("core/base/a.cc", "server/b.cc")
        list_of_this_machine = self.root / "build/tidy_clean.txt"
        interrupt = self.root / "clang-tidy-19"  # stops the run at the second source, once the first is written down
        self.write(interrupt.name, f"""#!/bin/sh
case "$2" in */b.cc)
  until grep -qs a.cc {list_of_this_machine}; do :; done
  kill -KILL $PPID
esac
""")
        interrupt.chmod(0o755)
        subprocess.run([self.root / "tests/lint/tidy"], env={"PATH": f"{self.root}:/usr/bin:/bin"}, capture_output=True, check=False)
        self.assertEqual(self.tidy(), (0, "1 of 2 sources to look at\n"))

    def test_says_how_to_get_compile_commands(self):
        (self.root / "build/tsa/compile_commands.json").unlink()
        status, output = self.tidy()
        self.assertNotEqual(status, 0)
        self.assertIn("cmake --preset tsa", output)


class RunTest(unittest.TestCase):
    """How tests/run treats its command line."""

    PRESETS = [preset["name"] for preset in json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]
               if not preset.get("hidden")]

    def run_with(self, *arguments):
        run = subprocess.run([ROOT / "tests/run", *arguments], capture_output=True, text=True, check=False)
        return run.returncode, run.stdout + run.stderr

    def test_refuses_an_unknown_preset_and_lists_the_known(self):
        status, output = self.run_with("--preset", "fastest")
        self.assertEqual(status, 2)
        self.assertIn("'fastest'", output)
        self.assertIn(" ".join(self.PRESETS), output)

    def test_refuses_an_absent_preset(self):
        self.assertEqual(self.run_with("--preset")[0], 2)

    def test_refuses_an_unknown_option_and_lists_the_known(self):
        status, output = self.run_with("--fast")
        self.assertEqual(status, 2)
        self.assertIn("'--fast'", output)
        self.assertIn("--quick --all --preset NAME --help", output)

    def test_refuses_a_second_option(self):
        self.assertEqual(self.run_with("--quick", "--all")[0], 2)

    def test_help_names_every_preset(self):
        status, output = self.run_with("--help")
        self.assertEqual(status, 0)
        self.assertIn(" ".join(self.PRESETS), output)


class SetupTest(Sample):
    """deploy/setup with a dpkg-query, apt-get and sudo of our own, which install nothing."""

    def setUp(self):
        super().setUp()
        (self.root / "deploy").mkdir()
        shutil.copy(ROOT / "deploy/setup", self.root / "deploy")
        self.write("deploy/packages.txt", "# A comment.\nhere  # the first\n\naway\n")
        self.stub("dpkg-query", '[[ ${!#} == here || -e $STATE/${!#} ]] && echo -n installed')
        self.stub("sudo", '[[ $1 == --non-interactive ]] && shift; exec "$@"')

    def stub(self, name, body):
        self.write(f"bin/{name}", f"#!/bin/bash\n{body}\n", 0o755)

    def setup_run(self):
        run = subprocess.run(
            [self.root / "deploy/setup"], capture_output=True, text=True, check=False,
            env={"PATH": f"{self.root}/bin:{os.environ['PATH']}", "STATE": str(self.root)})
        return run.returncode, run.stdout + run.stderr

    def test_installs_only_what_is_missing(self):
        self.stub("apt-get", 'for p; do [[ $p == install ]] && seen=1; done; [[ $seen ]] && touch "$STATE/${!#}"; echo "apt: $*"')
        status, output = self.setup_run()
        self.assertEqual(status, 0, output)
        self.assertIn("installing away\n", output)

    def test_says_nothing_when_all_is_there(self):
        self.write("deploy/packages.txt", "here\n")
        self.stub("apt-get", "exit 1")
        self.assertEqual(self.setup_run(), (0, ""))

    def test_takes_a_command_that_is_there_instead_of_its_package(self):
        self.write("deploy/packages.txt", "here\naway (true)  # a command that every machine has\n")
        self.stub("apt-get", "exit 1")
        self.assertEqual(self.setup_run(), (0, ""))
        self.write("deploy/packages.txt", "here\naway (no-such-command)\n")
        status, output = self.setup_run()
        self.assertEqual(status, 1)
        self.assertIn("missing packages: away\n", output)

    def test_names_what_is_missing_and_the_command_when_apt_fails(self):
        self.stub("apt-get", "exit 100")
        status, output = self.setup_run()
        self.assertEqual(status, 1)
        self.assertIn("missing packages: away\n", output)
        self.assertIn("apt-get update && apt-get install --no-install-recommends away\n", output)


if __name__ == "__main__":
    unittest.main()
